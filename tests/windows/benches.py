"""What a test of the agent's Windows half works on: the stand-in machine, or the Windows that the tests run on."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .standin.machine import Machine
    from .standin.processes import Process
    from .standin.python import World

# What a command does, in Python for the real one and by the stand-in's programs: name -> source.
PROGRAMS = {
    "forever": "import time\nprint('up', flush=True)\ntime.sleep(600)",
    "short": "print('hello', flush=True)\nraise SystemExit(3)",
    "parent": (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('up', flush=True)\ntime.sleep(600)"
    ),
    "environment": "import os, time\nprint('COLOUR=' + os.environ.get('COLOUR', ''), flush=True)\ntime.sleep(600)",
}


class Bench(Protocol):
    """A place to work in and the agent's modules."""

    home: str
    user: str

    def load(self, module: str) -> Any:
        """A module of the agent, such as "windows"."""

    def write(self, path: str, content: bytes) -> None: ...
    def read(self, path: str) -> bytes: ...
    def exists(self, path: str) -> bool: ...
    def open(self, path: str) -> Any: ...
    def command(self, program: str) -> list[str]:
        """The command line of one of PROGRAMS."""

    def start(self, program: str) -> int:
        """Start one of PROGRAMS as a child of this process. Gives its number."""

    def close(self) -> None: ...


def until(true: Callable[[], object], within_s: float = 20) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come so"
        time.sleep(0.01)


class StandInBench:
    home = r"C:\ProgramData\ssh\llm-harness"

    def __init__(self, machine: Machine, world: World) -> None:
        from .standin import machine as parts
        from .standin.python import interpreter

        self.machine = machine
        self.world = world
        self.user = parts.USER
        machine.processes.install(parts.PYTHON, interpreter(machine))
        machine.drive.write(self.home + r"\agent-0.pyz", b"PK")
        for name in PROGRAMS:
            machine.processes.install(rf"C:\work\{name}.exe", getattr(self, "_" + name))
        machine.processes.install(r"C:\work\child.exe", lambda process: process.live())
        world.load("deploys.agent.windows.ntfs").secure(self.home, _private())

    def load(self, module: str) -> Any:
        return self.world.load(f"deploys.agent.{module}")

    def write(self, path: str, content: bytes) -> None:
        self.machine.drive.write(path, content)

    def read(self, path: str) -> bytes:
        return self.machine.drive.read(path)

    def exists(self, path: str) -> bool:
        return self.machine.drive.exists(path)

    def open(self, path: str) -> Any:
        return self.world.open(path, "rb")

    def command(self, program: str) -> list[str]:
        return [rf"C:\work\{program}.exe"]

    def start(self, program: str) -> int:
        return self.machine.processes.start(self.command(program), self.machine.process()).pid

    def close(self) -> None:
        return

    @staticmethod
    def _forever(process: Process) -> int:
        process.say("up\r\n")
        return process.live()

    @staticmethod
    def _short(process: Process) -> int:
        process.say("hello\r\n")
        return 3

    @staticmethod
    def _parent(process: Process) -> int:
        process.start(r"C:\work\child.exe")
        process.say("up\r\n")
        return process.live()

    @staticmethod
    def _environment(process: Process) -> int:
        process.say(f"COLOUR={process.environment.get('COLOUR', '')}\r\n")
        return process.live()


class WindowsBench:
    """The real one: needs an elevated account, as the SSH session of an administrator is."""

    def __init__(self) -> None:
        self.home = tempfile.mkdtemp(prefix="llm-harness-")
        self.user = os.environ["USERNAME"]
        packed = importlib.import_module("deploys.facts.zipapp").packed()
        agent = Path(self.home) / "agent-0.pyz"
        agent.write_bytes(packed)
        self.argv, sys.argv = sys.argv, [str(agent)]
        self.started: list[subprocess.Popen[bytes]] = []

    def load(self, module: str) -> Any:
        return importlib.import_module(f"deploys.agent.{module}")

    def write(self, path: str, content: bytes) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def open(self, path: str) -> Any:
        return Path(path).open("rb")

    def command(self, program: str) -> list[str]:
        return [sys.executable, "-c", PROGRAMS[program]]

    def start(self, program: str) -> int:
        quiet = subprocess.DEVNULL
        self.started.append(subprocess.Popen(self.command(program), stdin=quiet, stdout=quiet, stderr=quiet))
        return self.started[-1].pid

    def close(self) -> None:
        sys.argv = self.argv
        for each in self.started:
            each.kill()
            each.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def _private() -> Any:
    acl = importlib.import_module("deploys.agent.windows.acl")
    return acl.wanted("administrators", True, str)
