"""The machine itself: its cards, its tailnet, its programs; from what their own tools print."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from deploys.agent import machine
from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.kinds import tailnet
from deploys.agent.main import Agent, this_system
from deploys.agent.posix.system import Posix
from deploys.agent.programs import run
from deploys.agent.system import no_progress

from .conftest import Put

STATUS = Path(__file__).parent / "data" / "tailscale_status.json"


class TestCards:
    @pytest.mark.parametrize(
        ("printed", "cards"),
        [
            ("NVIDIA GeForce RTX 3090, 24576", [{"name": "NVIDIA GeForce RTX 3090", "vram_gb": 24.0}]),
            (
                "A, 8188\nB, with comma, 24564",
                [{"name": "A", "vram_gb": 8.0}, {"name": "B, with comma", "vram_gb": 24.0}],
            ),
            ("NVIDIA GB10, [N/A]", []),
            ("No devices were found", []),
            ("", []),
        ],
    )
    def test_what_the_driver_prints(self, printed: str, cards: Any, put_program: Put) -> None:
        put_program("nvidia-smi", f"cat <<'END'\n{printed}\nEND")
        assert machine.gpus() == cards

    def test_driver_that_does_not_answer(self, put_program: Put) -> None:
        put_program("nvidia-smi", 'echo "NVIDIA-SMI has failed because it couldn\'t communicate"; exit 9')
        assert machine.gpus() == []

    def test_no_driver(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert machine.gpus() == []


class TestTailnet:
    def test_running(self, put_program: Put) -> None:
        put_program("tailscale", f"cat {STATUS}")
        assert tailnet.look() == {
            "version": "1.98.10",
            "state": "Running",
            "address": "100.64.0.2",
            "name": "apex.tail.example",
            "key_expiry": "2027-05-21T08:45:53Z",
            "health": ["Tailscale can't reach the configured DNS servers."],
        }

    def test_logged_out(self, put_program: Put) -> None:
        said = json.dumps({"Version": "1.98.10", "BackendState": "NeedsLogin", "TailscaleIPs": None, "Self": None})
        put_program("tailscale", f"echo '{said}'")
        found = tailnet.look()
        assert found
        assert (found["state"], found["address"], found["key_expiry"], found["health"]) == (
            "NeedsLogin",
            None,
            None,
            [],
        )

    def test_daemon_that_does_not_run(self, put_program: Put) -> None:
        put_program("tailscale", "echo 'failed to connect to local tailscaled' >&2; exit 1")
        assert tailnet.look() is None

    def test_not_installed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, agent: Agent) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert tailnet.look() is None
        with pytest.raises(Refused, match="it is not installed"):
            agent.kinds["serve"].look({"4000": {}})


SERVE = """
cd {state}; echo "$@" >> log
case "$*" in
"serve status --json") cat config 2>/dev/null || echo '{{}}';;
"serve --bg --tcp=4000 tcp://127.0.0.1:4000")
  echo '{{"TCP": {{"4000": {{"TCPForward": "127.0.0.1:4000"}}}}}}' > config;;
"serve --tcp=4000 off") rm config;;
*) echo 'error: invalid port' >&2; exit 1;;
esac
"""


class TestServe:
    @pytest.fixture
    def log(self, tmp_path: Path, put_program: Put) -> Path:
        state = tmp_path / "tailscaled"
        state.mkdir()
        put_program("tailscale", SERVE.format(state=state))
        return state / "log"

    def work(self, agent: Agent, verb: str, port: str = "4000") -> Any:
        request = {"kind": "serve", "id": port, "verb": verb, "target": "127.0.0.1:4000"}
        return agent.work(request, no_progress)["serve"][port]

    def test_there_and_away_again(self, agent: Agent, home: Home, log: Path) -> None:
        assert agent.kinds["serve"].look({"4000": {}}) == {"4000": None}
        assert self.work(agent, "ensure") == {"target": "127.0.0.1:4000"}
        assert agent.kinds["serve"].look({"4000": {}, "8443": {}})["8443"] is None
        assert self.work(agent, "remove") is None
        assert agent.kinds["serve"].look({"4000": {}}) == {"4000": None}
        assert home.manifest() == []

    def test_what_is_not_forwarded_is_not_switched_off(self, agent: Agent, log: Path) -> None:
        self.work(agent, "remove")
        assert "off" not in log.read_text()

    def test_nothing_asked_starts_nothing(self, agent: Agent, log: Path) -> None:
        assert agent.kinds["serve"].look({}) == {}
        assert not log.exists()

    def test_refusal(self, agent: Agent, log: Path) -> None:
        with pytest.raises(Refused, match="error: invalid port"):
            self.work(agent, "ensure", "70000")

    def test_answer_that_is_none(self, agent: Agent, put_program: Put) -> None:
        put_program("tailscale", "echo 'no json'")
        assert agent.kinds["serve"].look({"4000": {}}) == {"4000": None}


def test_machine(system: Posix) -> None:
    found = machine.look(system, ["sh", "no-such-program"])
    assert set(found) == {"os", "release", "architecture", "hostname", "python", "gpus", "tailnet", "programs"}
    assert found["programs"] == {"sh": True, "no-such-program": False}


def test_this_system_is_posix() -> None:
    assert isinstance(this_system(), Posix)


class TestPrograms:
    def test_words_and_code(self) -> None:
        done = run(["sh", "-c", "echo out; printf '\\377 bad\\n last \\n\\n' >&2; exit 3"])
        assert done == (3, "out\n", "\ufffd bad\n last \n\n")
        assert done.why() == "last"
        assert run(["sh", "-c", "echo said; exit 1"]).why() == "said"
        assert run(["sh", "-c", "exit 4"]).why() == "exit code 4"

    def test_one_that_hangs_is_ended(self) -> None:
        start = time.monotonic()
        done = run(["sleep", "60"], timeout_s=0.2)
        assert done.code == 124
        assert done.why() == "sleep did not end within 0.2 s"
        assert time.monotonic() - start < 10

    def test_stdin_is_nobodys(self) -> None:
        assert run(["cat"], timeout_s=10) == (0, "", "")
