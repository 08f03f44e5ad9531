"""The stand-in's Python and its files do what windows-ssh-python section 8 says of them, and win32.py is matched."""

from __future__ import annotations

import ast
import errno
import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from .must import must
from .standin import win32
from .standin.machine import PYTHON, Machine
from .standin.processes import Process
from .standin.python import World, interpreter
from .standin.use import forever, tool, until

REAL = Path(__file__).parents[2] / "deploys" / "agent" / "windows" / "win32.py"


def test_the_stand_in_has_the_functions_of_win32(machine: Machine) -> None:
    tree = ast.parse(REAL.read_text(encoding="utf-8"))
    real = {
        each.name: [argument.arg for argument in each.args.args]
        for each in tree.body
        if isinstance(each, ast.FunctionDef) and not each.name.startswith("_")
    }
    wrapped = win32.functions(machine)
    stand_in = {
        name: list(inspect.signature(inspect.getclosurevars(function).nonlocals["function"]).parameters)
        for name, function in wrapped.items()
    }
    assert stand_in == real


def test_win32_stays_thin() -> None:
    assert len(REAL.read_text(encoding="utf-8").splitlines()) < 200


@must("ssh 7")
def test_bytes_come_and_go_unchanged(machine: Machine, world: World) -> None:
    everything = bytes(range(256)) + b"\n\r\n\x1a\x00\xff"

    def echo(process: Process) -> int:
        process.say(process.given)
        return 0

    machine.processes.install(r"C:\work\echo.exe", echo)
    subprocess = world.modules["subprocess"]
    done = subprocess.run([r"C:\work\echo.exe"], input=everything, capture_output=True)
    assert done.stdout == everything


@must("ssh 8")
def test_breakaway_and_tasks_outlive_a_session(machine: Machine) -> None:
    forever(machine)
    session = machine.processes.add("cmd.exe", 4, machine.user_sids, arguments=[], environment={}, session=0)
    session.jobs.add("session")
    session.holds.add("session")
    inside = machine.processes.start([r"C:\work\job.exe"], session)
    outside = machine.processes.start([r"C:\work\job.exe"], session, breakaway=True)
    machine.processes.end(session, 0)
    assert (inside.alive, outside.alive) == (False, True)


@must("ssh 16")
def test_replacing_what_is_open(machine: Machine, world: World) -> None:
    os = world.load("os")
    machine.drive.write(r"C:\work\old", b"old")
    machine.drive.write(r"C:\work\new", b"new")
    with world.open(r"C:\work\old", "rb"), pytest.raises(PermissionError) as problem:
        os.replace(r"C:\work\new", r"C:\work\old")
    assert problem.value.winerror == 5  # type: ignore[attr-defined]
    with world.open(r"C:\work\new", "rb"), pytest.raises(PermissionError) as problem:
        os.replace(r"C:\work\new", r"C:\work\old")
    assert problem.value.winerror == 32  # type: ignore[attr-defined]
    with pytest.raises(FileExistsError):
        os.rename(r"C:\work\new", r"C:\work\old")
    os.replace(r"C:\work\new", r"C:\WORK\OLD")
    assert machine.drive.read(r"c:\work\Old") == b"new"


@must("ssh 18")
def test_an_overwritten_file_keeps_its_access(machine: Machine, world: World) -> None:
    machine.drive.write(r"C:\work\file", b"one")
    machine.drive.set_descriptor(r"C:\work\file", "D:(A;;FA;;;BA)", machine.user_sids, restore=False)
    before = machine.drive.descriptor(r"C:\work\file")
    with world.open(r"C:\work\file", "wb") as file:
        file.write(b"two")
    assert machine.drive.descriptor(r"C:\work\file") == before


@must("ssh 19")
def test_python_as_it_comes(machine: Machine, world: World) -> None:
    assert {"exit", "quit"} & set(world.builtins) == set()
    for name in ("venv", "pip", "tkinter", "pwd", "fcntl", "site"):
        with pytest.raises(ModuleNotFoundError):
            world.builtins["__import__"](name)
    machine.processes.install(PYTHON, interpreter(machine))
    home = PYTHON.rpartition("\\")[0]
    for name, content, code in (("empty", b"", 0), ("broken", b"\x00\x01", 1), ("none", None, 2)):
        if content is not None:
            machine.drive.write(f"{home}\\{name}.pyz", content)
        said = tool(machine, PYTHON, "-I", "-X", "utf8", f"{home}\\{name}.pyz", "look")
        assert (said.code, said.out) == (code, "")


@must("ssh 20")
def test_a_program_that_runs_stays_as_it_is(machine: Machine, world: World) -> None:
    os = world.load("os")
    machine.drive.write(r"C:\app\1\program.exe")
    machine.drive.write(r"C:\app\new.exe")
    machine.drive.loaded.add(r"c:\app\1\program.exe")
    changes: list[Callable[[], object]] = [
        lambda: os.unlink(r"C:\app\1\program.exe"),
        lambda: os.replace(r"C:\app\new.exe", r"C:\app\1\program.exe"),
        lambda: os.rename(r"C:\app\1", r"C:\app\2"),
    ]
    for change in changes:
        with pytest.raises(PermissionError) as problem:
            change()
        assert problem.value.winerror in (5, 32)  # type: ignore[attr-defined]


@must("ssh 21")
def test_replacing_fails_now_and_then(machine: Machine, world: World) -> None:
    os = world.load("os")
    machine.drive.unreliable = 0.04
    refused = 0
    for _ in range(400):
        machine.drive.write(r"C:\work\new")
        try:
            os.replace(r"C:\work\new", r"C:\work\old")
        except PermissionError as problem:
            assert problem.winerror == 5  # type: ignore[attr-defined]
            refused += 1
    assert 0 < refused < 60


@must("ssh 10")
def test_a_session_keeps_the_environment_it_began_with(machine: Machine) -> None:
    before = dict(machine.process().environment)
    machine.registry.set(r"HKCU\Environment", "LATER", 1, "x")
    assert machine.process().environment == before
    assert machine.session()["LATER"] == "x"
    assert machine.session()["PATH"].startswith(r"C:\Windows\system32;")


def test_a_new_folder_of_mode_700_shuts_the_user_out(machine: Machine, world: World) -> None:
    world.load("os").mkdir(r"C:\ProgramData\ours", 0o700)
    assert {each.sid for each in machine.drive.descriptor(r"C:\ProgramData\ours").aces} == {
        "S-1-5-18",
        "S-1-5-32-544",
        "S-1-3-4",
    }


def test_no_child_gets_sshds_pipes(machine: Machine, world: World) -> None:
    forever(machine)
    subprocess = world.modules["subprocess"]
    with pytest.raises(AssertionError, match="sshd"):
        subprocess.run([r"C:\work\job.exe"], stdout=subprocess.PIPE)
    started = subprocess.Popen(
        [r"C:\work\job.exe"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert started.poll() is None
    started.kill()
    until(lambda: started.poll() is not None)


def test_text_gets_crlf_and_a_full_disk_refuses(machine: Machine, world: World) -> None:
    machine.drive.make(r"C:\work")
    with world.open(r"C:\work\text", "w", encoding="utf-8") as file:
        file.write("a\nb\n")
    assert machine.drive.read(r"C:\work\text") == b"a\r\nb\r\n"
    machine.drive.full = True
    with pytest.raises(OSError) as problem:
        world.open(r"C:\work\more", "w")
    assert problem.value.winerror == 112  # type: ignore[attr-defined]


@pytest.mark.parametrize("mode", ["ab", "a", "wb"])
def test_on_a_full_disk_nothing_grows(machine: Machine, world: World, mode: str) -> None:
    path = r"C:\work\there"
    machine.drive.write(path, b"old text")
    text: dict[str, str] = {} if "b" in mode else {"encoding": "utf-8"}
    machine.drive.full = True
    with pytest.raises(OSError, match="No space left") as problem, world.open(path, mode, **text) as file:
        file.write("more" if text else b"more")
    assert problem.value.errno == errno.ENOSPC
    assert machine.drive.read(path) == (b"" if "w" in mode else b"old text")
    machine.drive.full = False
    with world.open(path, mode, **text) as file:
        file.write("more" if text else b"more")
    assert machine.drive.read(path).endswith(b"more")


def test_on_a_full_disk_what_is_there_can_be_written_over(machine: Machine, world: World) -> None:
    os, path = world.load("os"), r"C:\work\there"
    machine.drive.write(path, b"old text")
    machine.drive.full = True
    with world.open(path, "r+b") as file:
        file.write(b"new")
        file.flush()
        os.fsync(file.fileno())
    assert machine.drive.read(path) == b"new text"
    descriptor = os.open(path, os.O_RDWR)
    os.write(descriptor, b"as long.")
    with pytest.raises(OSError, match="No space left"):
        os.write(descriptor, b"!")
    os.close(descriptor)
    assert machine.drive.read(path) == b"as long."


def test_a_disk_that_is_full_from_a_moment_on(machine: Machine, world: World) -> None:
    machine.drive.fills_at = r"\9.9"
    machine.drive.make(r"C:\work")
    os = world.load("os")
    with world.open(r"C:\work\before", "w"):
        pass
    os.mkdir(r"C:\work\9.9")
    with pytest.raises(OSError) as problem:
        world.open(r"C:\work\9.9\file", "w")
    assert problem.value.winerror == 112  # type: ignore[attr-defined]
