"""Services, against a `systemctl` that replays what systemd prints and keeps a little state.

systemd itself does not run where these tests do: the lab's suites prove the same code against the real one.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.kinds import services
from deploys.agent.kinds.services import answers
from deploys.agent.main import Agent
from deploys.agent.posix import sockets
from deploys.agent.posix import system as posix

from .conftest import Put
from .support import closed_port, file_request, sha256, speaks_ssh
from .test_units import SPEC

SYSTEMCTL = """
echo "$@" >> {state}/log
show() {{ [ -e "{state}/$1" ] && cat "{state}/$1" || printf 'MainPID=0\\nId=%s\\nLoadState=not-found\\nActiveState=inactive\\nDropInPaths=\\nUnitFileState=\\nNeedDaemonReload=no\\n' "$1"; }}
case "$1" in
show) shift 3; between=; for unit; do printf "$between"; between='\\n'; show "$unit"; done;;
restart) [ -e {state}/refuse ] && {{ echo 'Job for unit failed.' >&2; exit 1; }}
  printf 'MainPID=42\\nId=%s\\nLoadState=loaded\\nActiveState=active\\nDropInPaths=\\nUnitFileState=enabled\\nNeedDaemonReload=no\\n' "$2" > "{state}/$2";;
disable) rm -f "{state}/$4";;
reset-failed) echo 'Unit not loaded.' >&2; exit 1;;
esac
"""  # noqa: E501
SHOWN = """\
MainPID={pid}
Id={name}.service
LoadState=loaded
ActiveState={active}
DropInPaths={dropins}
UnitFileState={enabled}
NeedDaemonReload={reload}
NRestarts={restarts}
"""


class Systemd:
    """The stand-in's memory: one file a unit, and a log of what was asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def shows(self, name: str, **said: str) -> None:
        usual = {"pid": "42", "active": "active", "dropins": "", "enabled": "enabled", "reload": "no", "restarts": "0"}
        (self.folder / f"{name}.service").write_text(SHOWN.format(name=name, **{**usual, **said}))

    def said(self, *lines: str | list[int]) -> None:
        """What the journal holds: these, and what systemd itself says after them."""
        entries: list[dict[str, Any]] = [{"_PID": "42", "MESSAGE": each} for each in lines]
        entries.append({"_PID": "1", "MESSAGE": "ollama.service: Failed with result 'exit-code'."})
        (self.folder / "journal").write_text("".join(json.dumps(each) + "\n" for each in entries))

    @property
    def asked(self) -> list[str]:
        log = self.folder / "log"
        return [line for line in log.read_text().splitlines() if not line.startswith("show")] if log.exists() else []


@pytest.fixture
def systemd(tmp_path: Path, put_program: Put, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    monkeypatch.setattr(sockets, "runs", lambda service, process: True)  # the doors of these tests are its own
    state = tmp_path / "systemd"
    put_program("systemctl", SYSTEMCTL.format(state=state))
    put_program("journalctl", f"cat {state}/journal")
    systemd = Systemd(state)
    systemd.said("Error: bad config", "exiting")
    return systemd


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "units"
    folder.mkdir()
    monkeypatch.setattr(posix, "UNITS", str(folder))
    return folder


@contextlib.contextmanager
def door(well: Callable[[], bool]) -> Iterator[str]:
    """Answers 200 while `well()`, else 503."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if well() else 503)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/health"
    server.shutdown()
    server.server_close()


def ensure(agent: Agent, name: str = "ollama", **more: Any) -> Any:
    request = {"kind": "service", "id": name, "verb": "ensure", "spec": SPEC, "inputs": {}, "within_s": 2}
    return agent.work({**request, **more}, lambda _: None)["service"][name]


def look(agent: Agent, **specs: Any) -> Any:
    return agent.kinds["service"].look(specs)


OURS = {"command": ["/x"]}


@pytest.mark.usefixtures("systemd", "units")
def test_defined_enabled_started_in_that_order(agent: Agent, systemd: Systemd, units: Path) -> None:
    state = ensure(agent)
    assert state == {"spec": SPEC, "intact": True, "running": True, "enabled": True, "inputs": {}}
    assert systemd.asked == [
        "daemon-reload",
        "enable --quiet ollama.service",
        "reset-failed ollama.service",
        "restart ollama.service",
    ]
    assert [each.name for each in units.iterdir()] == ["ollama.service"]
    assert (units / "ollama.service").stat().st_mode & 0o777 == 0o644


def test_same_definition_is_only_started(agent: Agent, systemd: Systemd, units: Path) -> None:
    ensure(agent)
    before = len(systemd.asked)
    ensure(agent, inputs={"/etc/x": "00"})
    assert systemd.asked[before:] == ["reset-failed ollama.service", "restart ollama.service"]
    assert look(agent, ollama=OURS)["ollama"]["inputs"] == {"/etc/x": "00"}


class TestLook:
    def test_nothing_asked_starts_nothing(self, agent: Agent, systemd: Systemd) -> None:
        assert look(agent) == {}
        assert not (systemd.folder / "log").exists()

    def test_many_units_are_one_process(self, agent: Agent, systemd: Systemd, units: Path) -> None:
        systemd.shows("ssh", enabled="enabled")
        ensure(agent)
        (systemd.folder / "log").unlink()
        found = look(agent, ollama=OURS, ssh={}, gone=OURS, nosuch={})
        assert (systemd.folder / "log").read_text().count("\n") == 1
        assert found["gone"] is None
        assert found["nosuch"] is None
        assert found["ssh"] == {"running": True, "enabled": True, "inputs": {}}
        assert found["ollama"]["spec"] == SPEC

    @pytest.mark.parametrize(
        ("said", "running", "enabled", "intact"),
        [
            ({}, True, True, True),
            ({"active": "reloading"}, True, True, True),
            ({"active": "failed", "pid": "0"}, False, True, True),
            ({"active": "activating"}, False, True, True),
            ({"enabled": "disabled"}, True, False, True),
            ({"reload": "yes"}, True, True, False),
            ({"dropins": "/etc/systemd/system/ollama.service.d/override.conf"}, True, True, False),
            ({"dropins": "/usr/lib/systemd/system/service.d/10-timeout-abort.conf"}, True, True, True),
        ],
    )
    def test_what_systemd_says_of_it(
        self, said: dict[str, str], running: bool, enabled: bool, intact: bool, request: pytest.FixtureRequest
    ) -> None:
        agent, systemd = request.getfixturevalue("agent"), request.getfixturevalue("systemd")
        request.getfixturevalue("units")
        ensure(agent)
        systemd.shows("ollama", **said)
        found = look(agent, ollama=OURS)["ollama"]
        assert (found["running"], found["enabled"], found["intact"]) == (running, enabled, intact)

    def test_unit_edited_by_hand_is_not_intact_and_mended(self, agent: Agent, systemd: Systemd, units: Path) -> None:
        ensure(agent)
        unit = units / "ollama.service"
        good = unit.read_text()
        unit.write_text(good.replace("RestartSec=2", "RestartSec=99"))
        assert look(agent, ollama=OURS)["ollama"]["intact"] is False
        unit.write_text("nothing of ours")
        found = look(agent, ollama=OURS)["ollama"]
        assert (found["spec"], found["intact"]) == (None, False)
        assert ensure(agent)["intact"] is True
        assert unit.read_text() == good

    def test_machine_without_systemd(self, agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Refused, match="no systemctl"):
            look(agent, ssh={})

    def test_systemd_that_does_not_run_is_told_and_nothing_counts_as_missing(
        self, agent: Agent, put_program: Put
    ) -> None:
        put_program("systemctl", 'echo "System has not been booted with systemd as init system." >&2; exit 1')
        with pytest.raises(Refused, match="has not been booted"):
            look(agent, ssh={})


class TestOfTheSystem:
    def test_reads_its_files_again_without_a_restart(self, agent: Agent, systemd: Systemd) -> None:
        systemd.shows("ssh")
        ensure(agent, "ssh", spec={}, reload=True, inputs={"/etc/ssh/x": "00"})
        assert systemd.asked == ["reload ssh.service"]
        assert look(agent, ssh={})["ssh"]["inputs"] == {"/etc/ssh/x": "00"}

    def test_stopped_one_is_started(self, agent: Agent, systemd: Systemd) -> None:
        systemd.shows("ssh", active="inactive", pid="0")
        ensure(agent, "ssh", spec={}, reload=True)
        assert systemd.asked[-1] == "restart ssh.service"

    def test_unknown_name_is_refused(self, agent: Agent, systemd: Systemd) -> None:
        with pytest.raises(Refused, match="none of that name"):
            ensure(agent, "sshd2", spec={}, reload=True)

    def test_removal_never_touches_it(self, agent: Agent, systemd: Systemd, home: Home) -> None:
        systemd.shows("ssh")
        ensure(agent, "ssh", spec={}, reload=True)
        before = systemd.asked
        agent.work({"kind": "service", "id": "ssh", "verb": "remove"}, lambda _: None)
        assert systemd.asked == before
        assert home.manifest() == []


def test_removal_stops_and_forgets(agent: Agent, systemd: Systemd, units: Path, home: Home) -> None:
    ensure(agent)
    for _ in range(2):
        agent.work({"kind": "service", "id": "ollama", "verb": "remove"}, lambda _: None)
    assert systemd.asked[-2:] == ["disable --now --quiet ollama.service", "daemon-reload"]
    assert list(units.iterdir()) == []
    assert home.manifest() == []


def test_removal_of_a_unit_that_is_gone_already(agent: Agent, systemd: Systemd, units: Path, home: Home) -> None:
    ensure(agent)
    (units / "ollama.service").unlink()
    before = systemd.asked
    agent.work({"kind": "service", "id": "ollama", "verb": "remove"}, lambda _: None)
    assert systemd.asked == before


def test_refusal_of_systemd_is_told_in_its_words(agent: Agent, systemd: Systemd, units: Path) -> None:
    (systemd.folder / "refuse").touch()
    with pytest.raises(Refused, match="Job for unit failed"):
        ensure(agent)


def test_place_of_units_that_cannot_be_written(agent: Agent, systemd: Systemd, units: Path) -> None:
    units.rmdir()
    with pytest.raises(Refused, match="No such file or directory"):
        ensure(agent)


class TestHealth:
    """A service whose health hangs on a file: sick, the last good version comes back and the service with it."""

    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        return tmp_path / "etc" / "ollama.conf"

    def write(self, agent: Agent, config: Path, text: str) -> dict[str, str]:
        proof = {"proven_by": ["service", "ollama"], "verb": "ensure"}
        agent.work({**file_request(config, text), **proof}, lambda _: None)
        return {str(config): sha256(text.encode())}

    @pytest.mark.usefixtures("systemd", "units")
    def test_well(self, agent: Agent, config: Path, home: Home) -> None:
        inputs = self.write(agent, config, "good")
        with door(lambda: config.read_text() == "good") as url:
            assert ensure(agent, inputs=inputs, answers=url)["inputs"] == inputs
        assert home.entry("file", str(config))["unproven"] is False

    @pytest.mark.usefixtures("units")
    def test_sick_goes_back(self, agent: Agent, systemd: Systemd, config: Path) -> None:
        with door(lambda: config.read_text() == "good") as url:
            ensure(agent, inputs=self.write(agent, config, "good"), answers=url)
            bad = self.write(agent, config, "bad")
            with pytest.raises(Refused) as caught:
                ensure(agent, inputs=bad, answers=url, within_s=0.5)
        assert f"does not answer at {url} within 0.5 s" in caught.value.why
        assert "it last said: Error: bad config / exiting" in caught.value.why
        assert caught.value.why.endswith(f"{config} put back, it answers again")
        assert config.read_text() == "good"
        assert systemd.asked.count("restart ollama.service") == 3
        assert look(agent, ollama=OURS)["ollama"]["inputs"] != bad  # so the next converge tries again

    @pytest.mark.usefixtures("units")
    def test_falling_over_again_and_again_is_not_waited_for(self, agent: Agent, systemd: Systemd, config: Path) -> None:
        url, began = f"http://127.0.0.1:{closed_port()}/", time.monotonic()
        falls = threading.Timer(1, lambda: systemd.shows("ollama", restarts="3"))
        falls.start()
        with pytest.raises(Refused, match="it fell over 3 times; it last said: Error: bad config / exiting"):
            ensure(agent, inputs=self.write(agent, config, "first"), answers=url, within_s=60)
        assert 1 <= time.monotonic() - began < 20

    @pytest.mark.usefixtures("systemd", "units")
    def test_sick_for_another_reason_says_so(self, agent: Agent, config: Path) -> None:
        healthy = [True]
        with door(lambda: healthy[0]) as url:
            ensure(agent, inputs=self.write(agent, config, "good"), answers=url)
            healthy[0] = False
            with pytest.raises(Refused, match="put back, it still does not answer"):
                ensure(agent, inputs=self.write(agent, config, "new"), answers=url, within_s=0.3)

    @pytest.mark.usefixtures("systemd", "units")
    def test_sick_with_nothing_to_go_back_to(self, agent: Agent, config: Path) -> None:
        url = f"http://127.0.0.1:{closed_port()}/"
        with pytest.raises(Refused, match="see its log on the machine"):
            ensure(agent, inputs=self.write(agent, config, "first"), answers=url, within_s=0.3)
        assert config.read_text() == "first"


def test_what_it_said_is_its_own_if_it_said_anything(systemd: Systemd) -> None:
    system = posix.Posix()
    systemd.said("first", "second", [255, 104, 105])
    assert system.log_tail("ollama", 2) == "second\n\ufffdhi"
    systemd.said()
    assert system.log_tail("ollama", 2) == "ollama.service: Failed with result 'exit-code'."


def test_what_counts_as_an_answer() -> None:
    with door(lambda: True) as url:
        assert answers(url, 1)
    with door(lambda: False) as url:
        assert not answers(url, 1)
    with speaks_ssh() as url:
        assert not answers(url, 1)
    assert not answers(f"http://127.0.0.1:{closed_port()}/", 1)
    assert not answers("no url", 1)


class TestItsPlace:
    """Somebody else at the port would answer for it."""

    @pytest.fixture(autouse=True)
    def _strangers(self, systemd: Systemd, units: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sockets, "runs", lambda service, process: False)
        monkeypatch.setattr(services, "LEAVING_S", 0.1)

    def test_taken_by_somebody_else_changes_nothing_and_says_by_whom(
        self, agent: Agent, systemd: Systemd, units: Path
    ) -> None:
        with door(lambda: True) as url, pytest.raises(Refused) as caught:
            ensure(agent, answers=url)
        program = Path("/proc/self/comm").read_text().strip()
        place = url.removeprefix("http://").partition("/")[0]
        assert caught.value.why == f"{program} (process {os.getpid()}), which is none of its own, listens at {place}"
        assert caught.value.fix.startswith("end it there")
        assert (systemd.asked, list(units.iterdir())) == ([], [])

    def test_somebody_else_who_comes_while_it_starts_is_no_success(
        self, agent: Agent, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with door(lambda: True) as url:
            seen = iter([[], sockets.listeners()])
            last = sockets.listeners()
            monkeypatch.setattr(sockets, "listeners", lambda: next(seen, last))
            with pytest.raises(Refused, match="which is none of its own"):
                ensure(agent, answers=url)

    def test_at_another_address_is_nobodys_business(self, agent: Agent) -> None:
        with socket.create_server(("127.0.0.2", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(Refused, match="does not answer"):
                ensure(agent, answers=f"http://127.0.0.1:{port}/", within_s=0.3)


def test_listeners_are_those_of_the_kernel() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        found = [each for each in sockets.listeners() if each["process"] == os.getpid()]
        places = {(each["address"], each["port"]) for each in found}
        assert {four.getsockname()[:2], six.getsockname()[:2]} <= places


def test_a_process_is_of_the_service_that_systemd_counts_it_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"/proc/7/cgroup": ["0::/docker/1a/system.slice/ollama.service"], "/proc/8/cgroup": ["0::/user.slice"]}
    monkeypatch.setattr(sockets, "_lines", lambda path: told.get(path, []))
    assert [sockets.runs("ollama", process) for process in (7, 8, 9)] == [True, False, False]
    assert not sockets.runs("llama", 7)
