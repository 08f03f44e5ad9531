"""The timed undo on Linux, with real watchers; systemd is played by a script, and the lab's suites ask the real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.main import Agent
from deploys.agent.posix import system as posix
from deploys.agent.posix.system import Posix

from .conftest import Put
from .support import RUN, Packed, State, file_request, sha256

# Starts the watcher as systemd does, outside of the caller; every other word is written down.
SYSTEMCTL = """
case "$*" in
show*) shift 3; for unit; do printf 'MainPID=42\\nId=%s\\nLoadState=loaded\\nActiveState=active\\nDropInPaths=\\nUnitFileState=enabled\\nNeedDaemonReload=no\\n\\n' "$unit"; done;;
"restart llm-harness-undo.service")
  eval "setsid $(sed -n 's/^ExecStart=//p' {units}/llm-harness-undo.service) </dev/null >>{folder}/log 2>&1 &"
  echo $! >>{folder}/watchers;;
*) echo "$*" >>{folder}/asked;;
esac
"""  # noqa: E501


@pytest.fixture
def machine(tmp_path: Path, put_program: Put, monkeypatch: pytest.MonkeyPatch, packed: Packed) -> Iterator[Agent]:
    folder, units = tmp_path / "systemd", tmp_path / "units"
    for each in (folder, units):
        each.mkdir()
    put_program("systemctl", SYSTEMCTL.format(folder=folder, units=units))
    monkeypatch.setattr(posix, "UNITS", str(units))
    monkeypatch.setattr("sys.argv", [str(packed.file), "do"])
    system = Posix()
    yield Agent(system, Home(system))
    for pid in watchers(tmp_path):
        os.kill(pid, signal.SIGKILL)


def watchers(tmp_path: Path) -> list[int]:
    """Those that still live."""
    found = subprocess.run(["pgrep", "-f", f"watch {tmp_path}/packed home"], capture_output=True, check=False)
    return [int(each) for each in found.stdout.split()]


def asked(tmp_path: Path) -> list[str]:
    path = tmp_path / "systemd" / "asked"
    return path.read_text().splitlines() if path.exists() else []


def write(machine: Agent, path: Path, text: str, within_s: float = 300, change: str = "c1", **more: Any) -> State:
    guard = {"within_s": within_s, "reload": "ssh"}
    request = {**file_request(path, text), "verb": "ensure", "run": RUN, "guarded": guard, "change": change, **more}
    return machine.do(request)


def outcome(machine: Agent, change: str = "c1", keep: bool = False) -> str:
    return str(machine.undo.confirm({"id": change, "keep": keep})["outcome"])


def until(true: Callable[[], object], within_s: float = 20) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come so"
        time.sleep(0.02)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "10-ours.conf"


def test_kept(machine: Agent, config: Path, tmp_path: Path) -> None:
    assert write(machine, config, "good\n")["unconfirmed"] == 300
    assert "reload ssh.service" in asked(tmp_path)
    assert len(watchers(tmp_path)) == 1
    assert outcome(machine) == "waits"
    assert outcome(machine, keep=True) == "kept"
    until(lambda: not watchers(tmp_path))
    assert list((tmp_path / "units").iterdir()) == []
    assert asked(tmp_path)[-1] == "disable --quiet llm-harness-undo.service"
    assert config.read_text() == "good\n"


def test_undone_by_itself_with_its_access(machine: Agent, config: Path, tmp_path: Path) -> None:
    config.parent.mkdir()
    config.write_text("theirs\n")
    config.chmod(0o640)
    write(machine, config, "bad\n", within_s=2)
    assert config.read_text() == "bad\n"
    until(lambda: outcome(machine) == "undone")
    assert config.read_text() == "theirs\n"
    assert config.stat().st_mode & 0o777 == 0o640
    assert asked(tmp_path).count("reload ssh.service") == 2
    assert machine.home.manifest() == []
    assert outcome(machine, keep=True) == "undone"


def test_the_last_good_one_is_not_forgotten_over_it(machine: Agent, config: Path) -> None:
    """`put_back` gives the version before the present one, and never the one that locked us out."""
    proof: dict[str, Any] = {"proven_by": ["service", "ssh"]}
    for number, text in enumerate(("first\n", "second\n")):
        write(machine, config, text, change=f"c{number}", **proof)
        assert outcome(machine, f"c{number}", keep=True) == "kept"
        machine.home.prove({str(config): sha256(text.encode())})
    before = machine.home.entry("file", str(config))
    write(machine, config, "bad\n", within_s=2, change="c3", **proof)
    until(lambda: outcome(machine, "c3") == "undone")
    assert machine.home.entry("file", str(config)) == before
    assert Path(machine.home.kept(str(config))).read_text() != "bad\n"


def test_many_watchers_undo_once(machine: Agent, config: Path, tmp_path: Path) -> None:
    write(machine, config, "bad\n", within_s=4)
    program = machine.home.path("undo", "agent.pyz")
    command = [sys.executable, "-I", "-X", "utf8", program, "watch", machine.home.directory]
    others = [subprocess.Popen(command, stdin=subprocess.DEVNULL) for _ in range(4)]
    until(lambda: outcome(machine) == "undone")
    assert [each.wait(20) for each in others] == [0, 0, 0, 0]
    assert not config.exists()
    assert asked(tmp_path).count("reload ssh.service") == 2, "once for the change, once for the undoing"


def test_what_a_killed_process_left_half_undone_is_finished(machine: Agent, config: Path) -> None:
    write(machine, config, "bad\n")
    mark = "0" * 16
    Path(machine.home.path("undo", "open.json")).rename(machine.home.path("undo", f"undoing-1-{mark}.json"))
    machine.look({})
    assert outcome(machine) == "undone"
    assert not config.exists()


def test_a_restart_shows_by_the_clock_too(machine: Agent, config: Path) -> None:
    """Where the system cannot tell one boot from another, it would wait for as long as the machine was up before."""
    write(machine, config, "bad\n")
    record = machine.home.read("undo/open.json")
    machine.home.write("undo/open.json", {**record, "until": record["until"] + 30 * 86400})
    machine.look({})
    assert outcome(machine) == "undone"
    assert not config.exists()


def test_access_alone_needs_no_guard(machine: Agent, config: Path, tmp_path: Path) -> None:
    write(machine, config, "good\n")
    outcome(machine, keep=True)
    config.chmod(0o666)
    assert "unconfirmed" not in write(machine, config, "good\n", change="c2")
    assert asked(tmp_path).count("reload ssh.service") == 1


def test_the_same_bytes_again_while_they_wait_are_guarded(machine: Agent, config: Path) -> None:
    """A dead desk's successor: without its own guard the first one's undoing would take its change away."""
    write(machine, config, "good\n")
    assert "unconfirmed" in write(machine, config, "good\n", change="c2")
    assert outcome(machine, "c1") == "undone"
    assert outcome(machine, "c2", keep=True) == "kept"
    assert config.read_text() == "good\n"


def test_what_was_only_noted_is_guarded_at_its_removal(machine: Agent, config: Path, tmp_path: Path) -> None:
    config.parent.mkdir()
    config.write_text("right already\n")
    note = {"kind": "file", "id": str(config), "verb": "note", "spec": {}, "run": RUN, "change": "c0"}
    assert "unconfirmed" not in machine.do({**note, "guarded": {"within_s": 2, "reload": "ssh"}})
    removal = {"kind": "file", "id": str(config), "verb": "remove", "run": RUN, "change": "c1"}
    assert machine.do(removal)["unconfirmed"] == 2
    until(lambda: outcome(machine) == "undone")
    assert config.read_text() == "right already\n"
    assert machine.home.entry("file", str(config))["guarded"] == {"within_s": 2, "reload": "ssh"}


def test_a_refused_file_leaves_all_as_it_was(machine: Agent, config: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="all is as it was before"):
        write(machine, config, "bad\n", check=["sh", "-c", "echo no such keyword; exit 1"])
    assert not config.exists()
    until(lambda: not watchers(tmp_path))
    assert machine.home.manifest() == []


def test_a_change_that_takes_too_long_is_taken_back(machine: Agent, config: Path) -> None:
    with pytest.raises(Refused, match="took longer than 2 s"):
        write(machine, config, "good\n", within_s=2, check=["sleep", "5"])
    assert not config.exists()
    assert outcome(machine) == "undone"


def test_an_undoing_that_fails_is_said_and_done_later(machine: Agent, config: Path, tmp_path: Path) -> None:
    config.parent.mkdir()
    config.write_text("theirs\n")
    write(machine, config, "bad\n", within_s=2)
    config.unlink()
    config.mkdir()
    (config / "in-the-way").touch()
    until(lambda: "s a directory" in (tmp_path / "systemd" / "log").read_text())
    assert outcome(machine, keep=True) == "waits"
    (config / "in-the-way").unlink()
    config.rmdir()
    until(lambda: outcome(machine) == "undone")
    assert config.read_text() == "theirs\n"


def test_a_machine_without_systemd_changes_nothing(machine: Agent, config: Path, put_program: Put) -> None:
    put_program("systemctl", "echo 'System has not been booted with systemd as init system.' >&2; exit 1")
    with pytest.raises(Refused, match="has not been booted"):
        write(machine, config, "good\n")
    assert not config.exists()
    assert outcome(machine) == "unknown"
