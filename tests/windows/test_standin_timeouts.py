"""Programs that hang, or leave something running that holds their streams: the agent goes on, and tells it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .benches import StandInBench, until
from .standin.machine import Machine
from .standin.processes import Process

PROGRAM, INSTALLER = r"C:\work\program.exe", r"C:\work\setup.exe"


@pytest.fixture
def programs(bench: StandInBench) -> Any:
    return bench.load("programs")


def leaves_a_child(process: Process) -> int:
    process.say("hello\r\n")
    process.start(r"C:\work\child.exe")
    return 3


def hangs(process: Process) -> int:
    process.start(r"C:\work\child.exe")
    return process.live()


def test_what_a_program_leaves_behind_is_not_waited_for(
    programs: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the pipes of its parent, which so have no end."""
    machine.processes.install(PROGRAM, leaves_a_child)
    monkeypatch.setattr(programs, "LAST_WORDS_S", 0.2)
    began = time.monotonic()
    assert programs.run([PROGRAM], timeout_s=60) == (3, "hello\r\n", "")
    assert time.monotonic() - began < 10
    assert machine.processes.find("child.exe"), "it is none of ours to end"


def test_a_program_that_hangs_is_ended_with_its_tree(programs: Any, machine: Machine) -> None:
    machine.processes.install(PROGRAM, hangs)
    done = programs.run([PROGRAM], timeout_s=0.3)
    assert (done.code, done.why()) == (124, rf"{PROGRAM} did not end within 0.3 s")
    until(lambda: not machine.processes.find("child.exe"), within_s=2)
    assert not machine.processes.find("program.exe")


def test_it_is_an_error_of_the_system_s(bench: StandInBench, machine: Machine) -> None:
    machine.processes.install(PROGRAM, hangs)
    for run in (bench.load("programs").ended, lambda words, wait: bench.load("windows.win32").run(*words, [], wait)):
        with pytest.raises(TimeoutError) as late:
            run([PROGRAM], 0.2)
        assert late.value.strerror == rf"{PROGRAM} did not end within 0.2 s"
        until(lambda: not machine.processes.find("child.exe"), within_s=2)


def test_what_taskkill_does_not_end(programs: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is at least the program itself."""
    machine.processes.install(PROGRAM, hangs)
    machine.processes.install(r"C:\Windows\System32\taskkill.exe", lambda process: process.live())
    monkeypatch.setattr(programs, "LAST_WORDS_S", 0.2)
    assert programs.run([PROGRAM], timeout_s=0.2).code == 124
    assert not machine.processes.find("program.exe")


def test_an_installer_that_asks_a_question_is_told(
    bench: StandInBench, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    installers = bench.load("windows.installers")
    monkeypatch.setattr(installers, "LONGEST_S", 0.2)
    machine.processes.install(INSTALLER, hangs)
    with pytest.raises(bench.load("errors").Refused) as refused:
        installers.Installers._run("Tool", INSTALLER, ["/S"], lambda _: None)
    assert refused.value.why == "its installer did not end within 0.2 s"
    assert "asks no question" in refused.value.fix


def test_any_other_program_of_windows_that_hangs_is_a_sentence(
    bench: StandInBench, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback: `main` makes one sentence of every OSError."""
    win32 = bench.load("windows.win32")
    real = win32.run
    machine.processes.install(r"C:\Windows\System32\sc.exe", hangs)
    monkeypatch.setattr(win32, "run", lambda program, words: real(program, words, 0.2))
    with pytest.raises(OSError, match="did not end within"):
        bench.load("windows.native").set_start("sshd", "auto")
