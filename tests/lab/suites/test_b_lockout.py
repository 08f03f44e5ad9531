"""What locks us out does not last: the machine undoes it by itself, whatever becomes of the desk meanwhile.

On G16, which is Linux in every lab: its real sshd takes the settings, and every one of these shuts the desk out.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Desk, Machine

DATA, TEMPLATE = "group_data/linux.py", "templates/ssh/sshd.conf.j2"
DROP_IN = "/etc/ssh/sshd_config.d/10-llm-harness.conf"
FILE, SERVICE = f"g16 file {DROP_IN}", "g16 service ssh"
HOME = "/var/lib/llm-harness"
UNDO_S = 20
LOCKED_OUT = [("AllowUsers", "nobody"), ("ListenAddress", "127.0.0.1"), ("Port", "2222")]


@pytest.fixture
def before(g16: Machine) -> Iterator[str]:
    """How sshd is set; at the end it is so again, and nothing of the undoing is left."""
    found = _settings(g16)
    yield found
    assert _settings(g16) == found
    _until(lambda: not _watchers(g16), 5)
    assert g16.sh("systemctl list-unit-files llm-harness-undo.service --no-legend", check=False) == ""
    assert g16.sh(f"ls {HOME}/undo | grep -E 'open|undoing'", check=False) == ""


def _settings(machine: Machine) -> str:
    return machine.sh(f"cat {DROP_IN}; sshd -T; ss -Hltn | awk '{{print $4}}' | grep -E ':(22|2222)$' | sort")


def _watchers(machine: Machine) -> list[str]:
    return machine.sh("pgrep -f '[a]gent.pyz watch'", check=False).split()


def _until(true: object, within_s: float) -> None:
    end = time.monotonic() + within_s
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, f"it did not come so within {within_s} s"
        time.sleep(0.2)


def _set(copy: Desk, name: str, value: str, undo_s: int = UNDO_S) -> None:
    """Through the template: the data refuses some of this."""
    first = "# Written by llm-harness: change group_data, not this file.\n"
    copy.edit(TEMPLATE, first, f"{first}{name} {value}\n")
    _quickly(copy, undo_s)


def _quickly(copy: Desk, undo_s: int = UNDO_S) -> None:
    copy.edit(DATA, 'home="/var/lib/llm-harness")', f'home="/var/lib/llm-harness", undo_after_s={undo_s})')


def _waits(machine: Machine) -> bool:
    """Whether the change is made, and nobody has confirmed or undone it."""
    return bool(machine.sh(f"test -e {HOME}/undo/open.json && grep AllowUsers {DROP_IN}", check=False))


@contextlib.contextmanager
def _converging(copy: Desk, machine: Machine) -> Iterator[subprocess.Popen[str]]:
    """A converge that hangs between change and confirmation, which never comes."""
    running = subprocess.Popen(
        [sys.executable, "-m", "scripts.desk", "converge", "LAB=1", "HOST=g16"],
        cwd=copy.checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _until(lambda: _waits(machine), 60)
        yield running
    finally:
        _kill(running.pid)
        running.communicate(timeout=60)


def _kill(pid: int) -> None:
    """A process with all that it started, at once."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(pid, signal.SIGKILL)
        for each in children:
            _kill(int(each))


def _reachable(desk: Desk) -> bool:
    return desk.run("ssh", "HOST=g16", "CMD=true").code == 0


def test_a_good_change_is_confirmed_and_stays(copy: Desk, g16: Machine, desk: Desk) -> None:
    """The file, then the service that reads it: two guarded changes after one another."""
    _set(copy, "LoginGraceTime", "61")
    assert copy.run("plan", "HOST=g16").changes() == [FILE, SERVICE]
    ran = copy.run("converge", "HOST=g16")
    assert ran.code == 0
    assert "g16: 2 changed" in ran.out
    _until(lambda: not _watchers(g16), 5)
    assert "logingracetime 61" in g16.sh("sshd -T")
    assert g16.sh("systemctl list-unit-files llm-harness-undo.service --no-legend", check=False) == ""
    time.sleep(UNDO_S + 2)
    assert "logingracetime 61" in g16.sh("sshd -T")
    assert copy.run("plan", "HOST=g16").code == 0


@pytest.mark.parametrize(("name", "value"), LOCKED_OUT)
def test_what_locks_us_out_is_undone_and_said(copy: Desk, desk: Desk, before: str, name: str, value: str) -> None:
    """sshd itself accepts each of them."""
    _set(copy, name, value)
    assert copy.run("plan", "HOST=g16").changes() == [FILE, SERVICE]
    began = time.monotonic()
    ran = copy.run("converge", "HOST=g16")
    took_s = time.monotonic() - began
    assert ran.code == 1
    assert took_s < UNDO_S + 100, "three tries of a connection of 20 s each may be on their way when it is undone"
    said = [line for line in ran.out.splitlines() if line.startswith(f"g16: file {DROP_IN} is not changed")]
    assert len(said) == 1, ran.out
    assert f"no fresh SSH connection came through within {UNDO_S} s" in said[0]
    assert "the machine undid it and is reachable as before" in said[0]
    assert "Traceback" not in ran.out
    assert _reachable(desk)
    assert copy.run("plan", "HOST=g16").changes() == [FILE, SERVICE]
    assert desk.run("plan", "HOST=g16").code == 0


def _knocks(lab: dict[str, Any], machine: Machine) -> bool:
    """Whether sshd lets us in from beyond the tailnet, with the very same key."""
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    asked = subprocess.run(["docker", "inspect", "-f", form, machine.container], capture_output=True, check=True)
    options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]
    key = str(Path(lab["ssh_config"]).parent / "key")
    done = subprocess.run(
        [
            "ssh",
            "-F",
            "none",
            "-i",
            key,
            "-o",
            "BatchMode=yes",
            *options,
            f"desk@{asked.stdout.decode().strip()}",
            "true",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 or b"Permission denied" in done.stderr, done.stderr
    return done.returncode == 0


def test_only_from_the_tailnet(copy: Desk, desk: Desk, g16: Machine, lab: dict[str, Any]) -> None:
    assert _knocks(lab, g16)
    _quickly(copy)
    copy.edit(DATA, '    service="ssh",\n', '    service="ssh",\n    only_from=["100.64.0.0/10"],\n')
    assert copy.run("converge", "HOST=g16").code == 0
    assert _reachable(desk)
    assert not _knocks(lab, g16)
    subprocess.run(["docker", "restart", g16.container], check=True, capture_output=True)
    _until(lambda: _reachable(desk), 60)
    assert copy.run("plan", "HOST=g16").code == 0


def test_only_from_a_wrong_network_is_undone(copy: Desk, desk: Desk, before: str) -> None:
    _quickly(copy)
    copy.edit(DATA, '    service="ssh",\n', '    service="ssh",\n    only_from=["192.0.2.0/24"],\n')
    ran = copy.run("converge", "HOST=g16")
    assert ran.code == 1
    assert "the machine undid it and is reachable as before" in ran.out
    assert _reachable(desk)


def test_the_desk_dies_before_it_can_confirm(copy: Desk, desk: Desk, g16: Machine, before: str) -> None:
    _set(copy, "AllowUsers", "nobody")
    with _converging(copy, g16) as running:
        _kill(running.pid)
    assert not _reachable(desk)
    _until(lambda: _settings(g16) == before, UNDO_S + 10)
    assert _reachable(desk)
    assert desk.run("plan", "HOST=g16").code == 0


def test_the_machine_restarts_before_it_is_confirmed(copy: Desk, desk: Desk, g16: Machine, before: str) -> None:
    """Its time is long not over: the restart ends it. The desk, still there, hears of it."""
    _set(copy, "AllowUsers", "nobody", undo_s=300)
    with _converging(copy, g16) as running:
        subprocess.run(["docker", "kill", g16.container], check=True, capture_output=True)
        subprocess.run(["docker", "start", g16.container], check=True, capture_output=True)
        said, _ = running.communicate(timeout=200)
    assert running.returncode == 1
    assert "the machine undid it and is reachable as before" in said
    assert _reachable(desk)
    assert desk.run("plan", "HOST=g16").code == 0


def test_a_killed_watcher_comes_again(copy: Desk, g16: Machine, before: str) -> None:
    _set(copy, "AllowUsers", "nobody")
    with _converging(copy, g16) as running:
        _kill(running.pid)
        first = _watchers(g16)
        assert len(first) == 1
        g16.sh(f"kill -9 {first[0]}")
        _until(lambda: _watchers(g16) not in ([], first), 10)
    _until(lambda: _settings(g16) == before, UNDO_S + 10)


def test_without_a_watcher_the_next_call_undoes(copy: Desk, g16: Machine, before: str) -> None:
    """Stopped by hand, it does not come again, and the time is long not over."""
    _set(copy, "AllowUsers", "nobody", undo_s=300)
    with _converging(copy, g16) as running:
        _kill(running.pid)
        g16.sh("systemctl stop llm-harness-undo")
        look = f"echo '{{}}' | python3 -I -X utf8 {HOME}/agent-*.pyz look"
        _until(lambda: g16.sh(look) and _settings(g16) == before, 40)
