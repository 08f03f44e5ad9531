"""The lab's machine as a whole: what it remembers over a loss of power, and its control door."""

from __future__ import annotations

from pathlib import Path

from .standin import keep, neighbour, sshdprogram
from .standin.control import Control
from .standin.machine import Machine
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


def test_sshd_refuses_what_it_does_not_know(machine: Machine) -> None:
    sshdprogram.install(machine)
    sshdprogram.furnish(machine)
    assert tool(machine, sshdprogram.PROGRAM, "-t", "-f", sshdprogram.CONFIG).code == 0
    machine.drive.write(r"C:\wrong", "PasswordAuthentication perhaps\r\nNonsense yes\r\n")
    said = tool(machine, sshdprogram.PROGRAM, "-t", "-f", r"C:\wrong")
    assert said.code == 255
    assert "line 2: Bad configuration option: Nonsense" in said.err
    assert "line 1: unsupported option" in said.err
