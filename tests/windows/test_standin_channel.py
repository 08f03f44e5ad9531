"""What goes wrong on the way to a Windows machine, or before its roles, is one sentence and ends that one alone."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from paramiko import SSHException
from pyinfra.api.exceptions import ConnectError

from deploys.facts import channel, link

from . import test_standin_arrival
from .standin import sftp
from .standin.machine import Machine
from .standin.processes import Process
from .test_standin_arrival import FILE, HOME, Desk, agents, desk, key, machine
from .test_standin_verbs import RUN

__all__ = ["desk", "key", "machine"]

ASKED: dict[str, Any] = {"asked": [], "programs": []}
LARGE: dict[str, Any] = {
    "kind": "file",
    "id": r"C:\litellm\large",
    "verb": "ensure",
    "access": "administrators",
    "run": RUN,
}

# Two names of one machine: what is wrong with the data of one is its own.
ONE = """("{name}", {{{{"ssh_hostname": "127.0.0.1", "ssh_port": {{port}}, "ssh_user": "anna", "ssh_key": {{key!r}},
    "ssh_allow_agent": False, "ssh_look_for_keys": False, "ssh_known_hosts_file": {{known!r}},
    "ssh_strict_host_key_checking": "off", {more}}}}})"""
NONSENSE = '"ollama_environment": {{"OLLAMA_HOST": "0.0.0.0"}}'


def bare(machine: Machine) -> None:
    for name in agents(machine):
        machine.drive.wipe_file(rf"{HOME}\{name}")


class TestUpload:
    """Of the connection, or of the file: the fix is another."""

    @pytest.mark.parametrize("after", [0, 1, 20_000])
    def test_that_is_cut(self, after: int, desk: Desk, machine: Machine) -> None:
        desk.ask()
        bare(machine)
        machine.cut_after = after
        sentence = desk.refused()
        assert sentence.startswith("the connection broke (")
        assert sentence.endswith("): converge again")
        assert not agents(machine)
        desk.ask()
        assert len(agents(machine)) == 1

    def test_onto_a_full_disk(self, desk: Desk, machine: Machine) -> None:
        desk.ask()
        bare(machine)
        machine.drive.full = True
        sentence = desk.refused()
        assert sentence.startswith(f"the agent could not be brought into {HOME} (")
        assert sentence.endswith("free some disk space there, then converge again")

    def test_that_falls_silent(self, desk: Desk, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        """A network that goes without a word: nobody waits for ever."""
        desk.ask()
        bare(machine)
        monkeypatch.setattr(channel, "SILENCE_S", 0.5)
        told = threading.Event()
        monkeypatch.setattr(sftp.Sftp, "write", lambda *_: told.wait(20))
        began = time.monotonic()
        assert desk.refused().startswith("the connection broke (TimeoutError")
        assert time.monotonic() - began < 10
        told.set()

    @pytest.mark.parametrize("after", [1, 70_000])
    def test_of_a_large_change_that_is_cut(self, after: int, desk: Desk, machine: Machine) -> None:
        desk.ask()
        machine.cut_after = after
        with pytest.raises(link.Unreachable, match="the connection broke"):
            desk.ask("do", {**LARGE, "content": "eA==" * 40_000})
        assert not machine.drive.exists(LARGE["id"])
        assert all(each.name.startswith(".") for each in machine.drive.real(rf"{HOME}\staged").iterdir())

    def test_of_a_large_change_onto_a_full_disk(self, desk: Desk, machine: Machine) -> None:
        desk.ask()
        machine.drive.make(rf"{HOME}\staged")
        machine.drive.full = True
        with pytest.raises(link.Unreachable, match="free some disk space there") as caught:
            desk.ask("do", {**LARGE, "content": "eA==" * 40_000})
        assert str(caught.value).startswith(rf"a change could not be brought into {HOME}\staged (")


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(desk: Desk, machine: Machine) -> None:
    """As long as the data says: `_timeout` is pyinfra's own word for it."""
    desk.ask()

    def sleeps(process: Process) -> int:
        process.ended.wait(20)
        return 0

    machine.processes.kinds["python"] = sleeps
    began = time.monotonic()
    with desk.connected(_timeout=1) as host, pytest.raises(link.Unreachable, match="the connection broke"):
        link.ask(host, "look", ASKED)
    assert time.monotonic() - began < 10


def test_a_connection_that_ends_without_a_status_is_no_answer(desk: Desk, machine: Machine) -> None:
    desk.ask()

    def cut(process: Process) -> int:
        for each in list(desk.door.clients):
            each.abort()
        process.ended.wait(1)
        return 0

    machine.processes.kinds["python"] = cut
    assert desk.refused().startswith("the connection broke (")


def test_an_sshd_without_sftp_is_said(desk: Desk) -> None:
    def none() -> Any:
        raise ConnectError("Unable to establish SFTP connection") from SSHException("Channel closed.")

    with desk.connected() as host:
        host.connector.get_file_transfer_connection = none
        with pytest.raises(link.Unreachable) as caught:
            link.ask(host, "look", ASKED)
    assert str(caught.value).startswith("its sshd gives no SFTP (Channel closed.): ")
    assert "Subsystem sftp" in str(caught.value)


@pytest.mark.parametrize("first", ["bad", "good"])
def test_what_ends_one_machine_before_its_roles_leaves_the_other_to_its_own(
    first: str, desk: Desk, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"bad": ONE.format(name="bad", more=NONSENSE), "good": ONE.format(name="good", more="")}
    order = [first, *({"bad", "good"} - {first})]
    monkeypatch.setattr(test_standin_arrival, "INVENTORY", f"windows = [{', '.join(made[each] for each in order)}]")
    desk.wants(FILE.format("a.yaml", "a: 1\n"))
    run = desk.converge()
    assert run.code == 1
    assert run.of("refused") == ["bad: ollama_environment must not set OLLAMA_HOST: Ollama stays on loopback"]
    assert run.of("changed") == [r"C:\litellm\a.yaml"]
    assert "Traceback" not in run.output
