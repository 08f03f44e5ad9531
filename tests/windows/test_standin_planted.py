"""What other users of the machine put where our programs will lie, before we came and while we come: it never runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploys.schema import Agent, Release
from deploys.schema.base import Nonsense

from .standin.machine import SSH_HOME, SSH_HOME_ACCESS, Machine
from .standin.processes import Process, wrapped
from .standin.python import World
from .standin.security import parse
from .standin.use import tool
from .test_standin_arrival import HOME, PLACE, Desk, agents, desk, key

__all__ = ["desk", "key"]

OLD_HOME = r"C:\ProgramData\llm-harness"
BERT = "S-1-5-21-1004336348-1177238915-682003330-1002"
USERS, EVERYBODY, SIGNED_IN = "*S-1-5-32-545", "*S-1-1-0", "*S-1-5-11"


@contextmanager
def bert(machine: Machine) -> Iterator[World]:
    """A Python that Bert runs, who has an account there and no rights to speak of."""
    own = getattr(machine.running, "process", None)
    sids = machine.token(BERT)
    process = machine.processes.add(r"C:\Python\python.exe", 4, sids, arguments=[], environment={}, session=1)
    machine.running.process = process
    world = World(machine, process, [r"C:\Users\Bert\plant.py"])
    try:
        yield world
    finally:
        world.finish()
        machine.running.process = own


def plant(machine: Machine, home: str) -> None:
    """Put a python.exe there, in all the folders that it needs. Raises PermissionError."""
    with bert(machine) as world:
        world.load("os").makedirs(rf"{home}\python-3.12.10", exist_ok=True)
        with world.open(rf"{home}\python-3.12.10\python.exe", "wb") as file:
            file.write(wrapped("planted"))


@pytest.fixture
def ran(machine: Machine) -> list[str]:
    """The paths of what Bert planted and somebody started."""
    found: list[str] = []

    def planted(process: Process) -> int:
        found.append(process.image)
        return 0

    machine.processes.kinds["planted"] = planted
    return found


def test_what_lies_in_the_open_is_never_run(desk: Desk, machine: Machine, ran: list[str]) -> None:
    """ProgramData lets every user make a folder of any name."""
    plant(machine, OLD_HOME)
    assert tool(machine, rf"{OLD_HOME}\python-3.12.10\python.exe").code == 0
    assert len(ran) == 1, "it would run"
    desk.ask()
    desk.ask()
    assert len(ran) == 1
    assert not [line for line in desk.lines if OLD_HOME.replace("\\", "\\\\") in line]


def test_nobody_else_puts_anything_where_we_shall_live(desk: Desk, machine: Machine, ran: list[str]) -> None:
    with pytest.raises(PermissionError):
        plant(machine, HOME)
    assert not machine.drive.exists(HOME)
    desk.ask()
    with pytest.raises(PermissionError):
        plant(machine, HOME)
    assert not ran


def test_nor_while_it_is_made(desk: Desk, machine: Machine, ran: list[str]) -> None:
    """At every step of the way in, above all between the making of the folder and its closing."""
    refused: list[bool] = []
    composed = desk.door.composed

    def meanwhile(command: str) -> tuple[str, str]:
        try:
            plant(machine, HOME)
        except PermissionError:
            refused.append(machine.drive.exists(HOME))
        return composed(command)

    desk.door.composed = meanwhile  # type: ignore[method-assign]
    desk.ask()
    assert len(refused) >= 8
    assert set(refused) == {False, True}
    assert len(refused) == len(desk.lines), "one was not refused"
    assert not ran


@pytest.mark.parametrize(
    "grants",
    [
        (f"{USERS}:(OI)(CI)(M)",),
        (f"{SIGNED_IN}:(OI)(CI)(M)", f"{EVERYBODY}:(CI)(W)"),
        (f"*{BERT}:(F)",),
    ],
)
def test_a_folder_of_sshd_s_that_others_may_change_is_refused(
    desk: Desk, machine: Machine, grants: tuple[str, ...]
) -> None:
    tool(machine, "icacls", SSH_HOME, "/grant", *grants)
    sids = [each.rpartition(":")[0] for each in grants]
    run = desk.converge()
    assert run.code != 0
    (sentence,) = [line for line in run.output.splitlines() if "may be changed by others" in line][:1]
    assert "127.0.0.1" in sentence
    assert SSH_HOME in sentence
    assert all(each.removeprefix("*") in sentence for each in sids)
    assert not machine.drive.exists(HOME)

    sentence = desk.refused()
    fix = re.findall("`(.*)`", sentence)
    for line in fix[0].split(" && "):
        assert tool(machine, *line.split(" ")).code == 0, line
    now, sshd_s = machine.drive.descriptor(SSH_HOME), parse(SSH_HOME_ACCESS)
    assert (now.owner, now.protected, set(now.aces)) == (sshd_s.owner, True, set(sshd_s.aces))
    desk.ask()
    assert len(agents(machine)) == 1


def test_one_that_was_made_before_sshd_came_is_refused(desk: Desk, machine: Machine) -> None:
    """Then sshd takes it as it is: with all that ProgramData hands down, and what its maker gave himself."""
    machine.drive.born(SSH_HOME, owner=BERT)
    sentence = desk.refused()
    assert USERS.removeprefix("*") in sentence
    assert BERT in sentence
    assert not machine.drive.exists(PLACE)


def test_a_folder_that_tells_nothing_is_not_believed(desk: Desk, machine: Machine) -> None:
    icacls = machine.processes.programs[machine.drive.key(r"C:\Windows\System32\icacls.exe")]

    def silent(process: Process) -> int:
        return 5 if machine.drive.key(process.arguments[0]) == SSH_HOME.lower() else icacls(process)

    machine.processes.install(r"C:\Windows\System32\icacls.exe", silent)
    assert f"it cannot be told who may change {SSH_HOME}" in desk.refused()
    assert not machine.drive.exists(HOME)


def test_data_that_put_it_in_the_open_are_refused() -> None:
    runtime = Release("3.12.10", "https://www.python.org/x.zip", "0" * 64)
    with pytest.raises(Nonsense, match=r"must be C:\\ProgramData\\ssh\\NAME, .*: sshd keeps that for administrators"):
        Agent(python=rf"{OLD_HOME}\python\python.exe", home=OLD_HOME, runtime=runtime)
