"""`record` against the stand-in's sshd, by the desk's own road: OpenSSH's ssh and sftp."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.desk import record
from scripts.desk.desk import Trouble
from scripts.desk.recordings import ENDS, FIRST, PROGRAMS, SCRATCH, SCRATCHES, TOOLS

from .standin import sshkeys
from .standin.machine import Machine
from .standin.processes import Process
from .standin.sshd import Manners, Sshd

PYTHON = r"C:\ProgramData\ssh\llm-harness\python-3.12.10\python.exe"
SECRET = "sk-planted-a1b2c3"

pytestmark = pytest.mark.skipif(not shutil.which("sftp"), reason="there is no OpenSSH client here")


@pytest.fixture
def desk_key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def door(machine: Machine, desk_key: Path) -> Iterator[Sshd]:
    machine.processes.install(PYTHON, python)
    sshkeys.furnish(machine, desk_key.with_suffix(".pub").read_text())
    made = Sshd(machine, Manners())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def apex(door: Sshd, desk_key: Path, tmp_path: Path) -> dict[str, Any]:
    """The machine as the inventory tells of it."""
    known = tmp_path / "known_hosts"
    assert door.host_key
    known.write_text(f"[127.0.0.1]:{door.port} {door.host_key.export_public_key().decode()}")
    data = {
        **{"ssh_hostname": "127.0.0.1", "ssh_port": door.port, "ssh_user": "anna", "ssh_key": str(desk_key)},
        **{"ssh_known_hosts_file": str(known), "ssh_strict_host_key_checking": "yes"},
        "agent": {"python": f"{PYTHON} -I -X utf8", "home": r"C:\ProgramData\ssh\llm-harness"},
    }
    return {"name": "apex", "groups": ["apex", "windows"], "data": data}


def python(process: Process) -> int:
    """What the recordings ask of it."""
    text = process.arguments[-1]
    if text.startswith("print(len("):
        process.say(f"{len(process.input().read())}\r\n")
    elif "open(" in text:
        drive = process.machine.drive
        drive.locked.add(drive.key(rf"{SCRATCH}\held"))
        process.ended.wait(10)
        drive.locked.clear()
    return 0


def test_every_answer_is_kept_as_it_came(machine: Machine, apex: dict[str, Any], tmp_path: Path) -> None:
    machine.registry.set(r"HKCU\Environment", "API_KEY", 1, SECRET)
    folder, count = record.recorded(apex, tmp_path / "records")
    text = (folder / "README.md").read_text()
    codes = {
        row.split("|")[1].strip()[3:]: row.split("|")[-5].strip() for row in text.splitlines() if row[2:4].isdigit()
    }
    assert len(codes) == count
    names = {each.name for each in [*FIRST, *PROGRAMS, *TOOLS, *ENDS, *SCRATCHES]}
    assert names < set(codes)
    assert {name: codes[name] for name in ("exit-code", "exit-code-negative", "sc-missing", "sc-running")} == {
        **{"exit-code": "3010", "exit-code-negative": "-2147024894", "sc-missing": "1060", "sc-running": "1056"}
    }
    assert codes["schtasks-missing"] == "-2147024894"

    def kept(name: str) -> bytes:
        (found,) = folder.glob(f"[0-9][0-9]-{name}.out")
        return found.read_bytes()

    assert kept("windows-version") == b"\r\nMicrosoft Windows [Version 10.0.26100.1]\r\n"
    assert b"@exit" not in b"".join(each.read_bytes() for each in folder.glob("*.out"))
    assert [kept(f"stdin-{size}") for size in (1, 4096, 4097, 65536)] == [
        b"1\r\n",
        b"4096\r\n",
        b"4097\r\n",
        b"65536\r\n",
    ]
    assert "- Windows: 10.0.26100.1\n- sshd: OpenSSH_for_Windows_9.5\n" in text
    assert kept("code-page") == (
        b"Aktive Codepage: 850\r\n" if machine.language == "de" else b"Active code page: 437\r\n"
    )
    (refused,) = folder.glob("*-sftp-onto-an-open-file.err")
    assert b"Failure" in refused.read_bytes()
    # nothing secret, nothing left behind
    assert SECRET.encode() not in b"".join(each.read_bytes() for each in folder.iterdir())
    assert not machine.drive.exists(SCRATCH)


def test_another_system_is_refused(apex: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="no Windows machine"):
        record.recorded({**apex, "groups": ["linux"]}, tmp_path)


def test_a_machine_that_does_not_answer_is_named(apex: dict[str, Any], door: Sshd, tmp_path: Path) -> None:
    door.stop()
    with pytest.raises(
        Trouble, match=r"^apex does not let this desk in \(.*refused\): run scripts/bootstrap\.cmd there"
    ):
        record.recorded(apex, tmp_path / "records")
    assert not (tmp_path / "records").exists()


def test_no_command_asks_for_more_than_it_says() -> None:
    for each in [*FIRST, *PROGRAMS, *TOOLS, *ENDS, *SCRATCHES]:
        words = each.command.split()
        assert "%" not in each.command, each.name
        assert words[0] not in ("set", "type", "more"), each.name
        assert each.command.count('"') % 2 == 0, each.name
