"""The lab's machine as a whole: what it remembers over a loss of power, and its control door."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from .standin import computer, dockerdesktop, keep, neighbour, sshdprogram
from .standin.control import Control
from .standin.machine import Machine
from .standin.registry import SZ
from .standin.use import row, tool

RULE = "TP3 web"


def test_a_loss_of_power(machine: Machine, tmp_path: Path) -> None:
    neighbour.furnish(machine)
    machine.services.boot()
    machine.tools.features["VirtualMachinePlatform"] = "Enable Pending"
    keeper = keep.Keeper(machine, tmp_path / "state")
    before = Control(machine, lambda: None).dump()
    keeper.save()
    again = Machine(tmp_path, language=machine.language)
    try:
        assert keep.Keeper(again, tmp_path / "state").load()
        began = again.processes.all[4].created
        keep.boot(again)
        after = Control(again, lambda: None).dump()
        assert after["features"]["VirtualMachinePlatform"] == "Enabled"
        assert {**after, "features": 0} == {**before, "features": 0}
        assert again.boots == machine.boots + 1
        assert again.processes.all[4].created > began
    finally:
        again.close()


def test_tampering(machine: Machine) -> None:
    neighbour.furnish(machine)
    door = Control(machine, lambda: None)
    for asked in (
        {"verb": "task", "name": neighbour.TASK, "do": "disable"},
        {"verb": "rule", "name": RULE, "do": "delete"},
        {"verb": "service", "name": "Spooler", "state": "running"},
        {"verb": "set", "key": r"HKLM\SOFTWARE\TP3", "name": "Version", "data": "4"},
        {"verb": "acl", "path": neighbour.HOME, "sddl": "O:BAD:P(A;OICI;FA;;;BA)"},
        {"verb": "write", "path": rf"{neighbour.HOME}\job.exe", "text": "other"},
    ):
        assert door.answer(dict(asked)) == {"ok": None}
    assert row(machine, neighbour.TASK)[3] == machine.say("Disabled")
    assert not machine.firewall.named(RULE)
    assert "RUNNING" in tool(machine, "sc", "query", "Spooler").out
    assert machine.registry.get(r"HKLM\SOFTWARE\TP3", "Version") == (1, "4")
    assert door.files(neighbour.HOME)[rf"{neighbour.HOME}\job.exe"]["sddl"].endswith("(A;ID;FA;;;BA)")
    assert "error" in door.answer({"verb": "nonsense"})
    assert "error" in door.answer({"verb": "task", "name": "none", "do": "run"})


DESKTOP = r"C:\Program Files\Docker\Docker\Docker Desktop.exe"


def run_key(machine: Machine) -> list[list[str]]:
    """What a logon starts, of the values that our data gives Docker."""
    docker = runpy.run_path(str(Path(__file__).parents[2] / "group_data" / "windows.py"))["docker"]
    for value in docker.settings:
        key, _, name = value.name.rpartition("\\")
        machine.registry.set(key, name, SZ, value.data)
    return computer.starts_at_logon(machine)


def test_docker_starts_at_a_logon_by_a_line_without_quotes(machine: Machine) -> None:
    assert run_key(machine) == []  # it is not there
    machine.drive.write(DESKTOP, b"MZ")
    assert run_key(machine) == [[DESKTOP, "-Autostart"]]
    machine.registry.set(dockerdesktop.RUN, "Docker Desktop", SZ, f'"{DESKTOP}" -Autostart')
    assert computer.starts_at_logon(machine) == [[DESKTOP, "-Autostart"]]


@pytest.mark.parametrize(
    ("planted", "arguments"),
    [
        (r"C:\Program.exe", [r"Files\Docker\Docker\Docker", "Desktop.exe", "-Autostart"]),
        (r"C:\Program Files\Docker\Docker\Docker.exe", ["Desktop.exe", "-Autostart"]),
    ],
)
def test_a_shorter_name_wins_without_quotes(machine: Machine, planted: str, arguments: list[str]) -> None:
    machine.drive.write(DESKTOP, b"MZ")
    machine.drive.write(planted, b"MZ")
    assert run_key(machine) == [[planted, *arguments]]


def test_sshd_refuses_what_it_does_not_know(machine: Machine) -> None:
    sshdprogram.install(machine)
    sshdprogram.furnish(machine)
    assert tool(machine, sshdprogram.PROGRAM, "-t", "-f", sshdprogram.CONFIG).code == 0
    machine.drive.write(r"C:\wrong", "PasswordAuthentication perhaps\r\nNonsense yes\r\n")
    said = tool(machine, sshdprogram.PROGRAM, "-t", "-f", r"C:\wrong")
    assert said.code == 255
    assert "line 2: Bad configuration option: Nonsense" in said.err
    assert "line 1: unsupported option" in said.err
