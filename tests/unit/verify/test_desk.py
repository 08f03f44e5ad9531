"""How the desk finds its machines and its secrets, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.verify import conftest, desk
from tests.verify.desk import Expected
from tests.verify.linux import Linux
from tests.verify.machine import Question, Road
from tests.verify.neighbour import PROGRAM, Neighbour

ROOT = Path(__file__).parents[3]


def verify(inventory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The suite itself, on another inventory."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DESK_", "SECRETS_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/verify", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**clean, "DESK_INVENTORY": str(inventory), "SECRETS_FILE": str(inventory.parent / "none"), **environment},
    )


@pytest.fixture
def unreachable(tmp_path: Path) -> Path:
    """A Linux machine behind a port where nobody listens, and one of a system that nobody knows."""
    inventory = tmp_path / "inventory.py"
    inventory.write_text(
        'tailnet = {"tailnet": {"oldest_version": "1.90.0"}}\n'
        'apex = [("apex", {"ssh_hostname": "127.0.0.1", "ssh_port": 1, "ssh_user": "me", **tailnet})]\n'
        'odd = [("odd", tailnet)]\n'
        'linux = ["apex"]\n'
        '__all__ = ["apex", "odd", "linux"]\n'
    )
    return inventory


def test_a_machine_that_cannot_be_reached_is_red_once(unreachable: Path) -> None:
    done = verify(unreachable, DESK_MACHINES="apex")
    assert done.returncode == 1
    assert (
        "apex: it cannot be reached over SSH: ssh: connect to host 127.0.0.1 port 1: Connection refused" in done.stdout
    )
    assert "1 failed" in done.stdout
    assert "apex cannot be asked: test_machine_answers has the reason" in done.stdout
    assert "Traceback" not in done.stdout


def test_what_nobody_understands_is_red_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Strange(Linux):
        def look(self, questions: list[Question]) -> None:
            self.manifest = [{}]
            assert self.manifest[0]["kind"]

    monkeypatch.setattr(conftest, "SYSTEMS", {"linux": Strange})
    monkeypatch.setattr(desk, "chosen", lambda: (Expected("apex", frozenset({"linux"}), {}),))
    seen = conftest._look_at_all(Road(tmp_path / "config", tmp_path))
    sentence = seen.unreachable["apex"]
    assert sentence.startswith(
        "apex: what it says of itself cannot be understood (KeyError: 'kind', at test_desk.py line"
    )


def test_a_machine_of_an_unknown_system_is_skipped_aloud(unreachable: Path) -> None:
    done = verify(unreachable, DESK_MACHINES="odd")
    assert "odd is not verified: its system is none of those known here (linux, windows)" in done.stdout
    assert "failed" not in done.stdout
    assert "passed" not in done.stdout


def test_a_machine_that_nobody_has_is_refused(unreachable: Path) -> None:
    done = verify(unreachable, DESK_MACHINES="apex,tower")
    assert done.returncode == 4
    assert "DESK_MACHINES names tower, which is not in the inventory (apex, odd)" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_inventory_that_fails_gives_its_own_sentence(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.py"
    inventory.write_text('raise ValueError("apex has no address")\n')
    done = verify(inventory)
    assert done.returncode == 4
    assert done.stderr.strip().endswith(f"the inventory {inventory} cannot be read: ValueError: apex has no address")
    assert "Traceback" not in done.stderr


def resolved(config: Path, name: str) -> dict[str, str]:
    """What ssh itself makes of a configuration."""
    done = subprocess.run(["ssh", "-F", str(config), "-G", name], capture_output=True, text=True, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_the_inventorys_data_leads_ssh(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("Host apex\n  User other\n  ProxyCommand nc %h %p\nHost *\n  Compression yes\n")
    data = {
        "ssh_hostname": "100.64.0.1",
        "ssh_user": "me",
        "ssh_port": 2222,
        "ssh_key": "/keys/with blank",
        "ssh_strict_host_key_checking": "yes",
        "ssh_config_file": str(theirs),
    }
    ours = tmp_path / "ours"
    ours.write_text(desk.ssh_config([Expected("apex", frozenset(), data)], None))
    found = resolved(ours, "apex")
    assert (found["hostname"], found["user"], found["port"]) == ("100.64.0.1", "me", "2222")
    assert found["identityfile"] == "/keys/with blank"
    assert found["stricthostkeychecking"] in ("true", "yes")
    assert found["proxycommand"] == "nc %h %p"
    assert found["batchmode"] == found["compression"] == "yes"


def test_a_given_ssh_config_speaks_first(tmp_path: Path) -> None:
    given, ours = tmp_path / "given", tmp_path / "ours"
    given.write_text("Host apex\n  User desk\n")
    ours.write_text(desk.ssh_config([Expected("apex", frozenset(), {"ssh_user": "me"})], str(given)))
    assert resolved(ours, "apex")["user"] == "desk"


def test_secrets_come_from_environment_file_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, command = tmp_path / "secrets.env", tmp_path / "command"
    file.write_text("# KEY_A=no\nKEY_A = from-file\nKEY_B=from-file\nKEY_EMPTY=\n")
    command.write_text("#!/bin/sh\n[ $1 = KEY_C ] && echo from-command\n")
    command.chmod(0o755)
    monkeypatch.setenv("SECRETS_FILE", str(file))
    monkeypatch.setenv("SECRETS_COMMAND", str(command))
    monkeypatch.setenv("KEY_B", "from-environment")
    desk.secret.cache_clear()
    found = {name: desk.secret(name) for name in ("KEY_A", "KEY_B", "KEY_C", "KEY_D", "KEY_EMPTY")}
    desk.secret.cache_clear()
    assert found == {
        "KEY_A": "from-file",
        "KEY_B": "from-environment",
        "KEY_C": "from-command",
        "KEY_D": None,
        "KEY_EMPTY": None,
    }
    assert repr(found["KEY_A"]) == "<hidden>"


def test_the_neighbour_tells_open_from_silent() -> None:
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        targets = [f"127.0.0.1,{port}", "127.0.0.1,1", "::1,1"]
        done = subprocess.run([sys.executable, "-c", PROGRAM, *targets], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["answers"] == {f"127.0.0.1,{port}": True, "127.0.0.1,1": False, "::1,1": False}
    assert "127.0.0.1" not in said["on this wire"]  # it has no card


def test_silence_means_something_where_the_machine_is_on_the_same_wire() -> None:
    """A Windows machine lets nobody on its LAN in, not even to sshd: its card answers all the same."""
    machine = SimpleNamespace(name="apex", lan_addresses=["192.168.1.9"], ssh_settings={})
    closed = {("apex", "192.168.1.9", port): False for port in (22, 4000)}
    elsewhere, near, heard = (
        Neighbour("the neighbour", True, closed, on_this_wire=["192.168.1.1"]),
        Neighbour("the neighbour", True, closed, on_this_wire=["192.168.1.1", "192.168.1.9"]),
        Neighbour("the neighbour", True, {**closed, ("apex", "192.168.1.9", 22): True}),
    )
    assert [bool(each.reaches(machine)) for each in (elsewhere, near, heard)] == [False, True, True]  # type: ignore[arg-type]
    assert [each.open_at(machine, 4000) for each in (elsewhere, near, heard)] == [[], [], []]  # type: ignore[arg-type]
