"""Processes as threads: with parents, job objects, sessions, creation times; a number may be used again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .drive import error
from .pipes import Pipe

if TYPE_CHECKING:
    from .machine import Machine

MANY = 2000
TICKS_PER_S = 10_000_000
MARK = b"MZ stand-in "
FIRST_MOMENT = 133_000_000_000_000_000  # some day of 2022, in 100 ns since 1601


def wrapped(kind: str, more: bytes = b"") -> bytes:
    """The bytes of an executable of that kind, as archives and installers bring it."""
    return MARK + kind.encode() + b"\n" + more


class Ended(BaseException):
    """Unwinds the thread of a process that was terminated."""


@dataclass
class Process:
    """One process. A program is called with it and gives the exit code."""

    machine: Machine
    pid: int
    parent: int
    image: str
    arguments: list[str]
    environment: dict[str, str]
    sids: frozenset[str]
    session: int
    created: int
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    given: bytes = b""
    has_input: bool = False
    stdin: Pipe | None = None  # else it reads `given`, to its end
    breakaway: bool = False
    code: int | None = None
    jobs: set[str] = field(default_factory=set)
    holds: set[str] = field(default_factory=set)  # jobs that end with it
    ended: threading.Event = field(default_factory=threading.Event)
    sinks: list[Any] = field(default_factory=list)  # files that take its output
    after: list[Any] = field(default_factory=list)  # actions of its task that come next

    @property
    def name(self) -> str:
        return self.image.rpartition("\\")[2]

    @property
    def alive(self) -> bool:
        return self.code is None

    def input(self) -> Pipe:
        """Its standard input."""
        if self.stdin is None:
            self.stdin = Pipe(self.given)
        return self.stdin

    def check(self) -> None:
        """A terminated process does nothing more."""
        if not self.alive:
            raise Ended

    def say(self, data: str | bytes, error: bool = False) -> None:
        raw = data.encode() if isinstance(data, str) else data
        (self.err if error else self.out).extend(raw)
        if self.sinks:
            self.sinks[1 if error else 0](raw)

    def say_lines(self, *lines: str, error: bool = False) -> None:
        """CRLF and the OEM code page: characters outside it are lost."""
        self.say("".join(f"{line}\r\n" for line in lines).encode(self.machine.oem, "replace"), error)

    def start(self, image: str, *arguments: str) -> Process:
        """A child of this process, which inherits its streams: a pipe ends with the last one that holds it."""
        sinks = list(self.sinks) if all(hasattr(each, "hold") for each in self.sinks) else []
        for each in sinks:
            each.hold()
        try:
            return self.machine.processes.start([image, *arguments], parent=self, sinks=sinks)
        except OSError:
            for each in sinks:
                each.close()
            raise

    def live(self) -> int:
        """For programs that run until they are ended."""
        self.ended.wait()
        raise Ended


Program = Callable[[Process], int]


class Processes:
    """All processes of the machine and the job objects they are in."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.all: dict[int, Process] = {}
        self.programs: dict[str, Program] = {}
        self.kinds: dict[str, Program] = {}  # programs that a file is by what is in it
        self.lock = threading.RLock()
        self.clock = FIRST_MOMENT
        self.next = 4000
        self.reuse: list[int] = []  # numbers to give out again
        self.threads: list[threading.Thread] = []
        self.faults: list[Exception] = []
        self.slow_s: dict[str, float] = {}  # {program's name: how long antivirus looks at it before it may run}
        self.dies_within_s = 0.0  # how long a driver keeps what was told to end; whoever tells it again is refused
        self.dying: set[int] = set()
        self.log: deque[list[str]] = deque(maxlen=20_000)  # every command line that was started

    def install(self, path: str, program: Program) -> None:
        """A file that is a program."""
        self.machine.drive.write(path, b"MZ" + path.encode())
        self.programs[path.lower()] = program

    def booted(self) -> None:
        """The process `System`, whose beginning is the boot's."""
        self.reuse.append(4)
        self.add("System", 0, frozenset(), arguments=[], environment={}, session=0)

    def add(self, image: str, parent: int, sids: frozenset[str], **more: Any) -> Process:
        with self.lock:
            self._forget()
            self.clock += TICKS_PER_S
            if self.reuse:
                pid = self.reuse.pop(0)
            else:
                self.next += 4
                pid = self.next
            process = Process(self.machine, pid, parent, image, sids=sids, created=self.clock, **more)
            self.all[pid] = process
            above = self.all.get(parent)
            if above and above.alive and not more.get("breakaway"):
                process.jobs |= above.jobs
            return process

    def _forget(self) -> None:
        """A machine that runs for days does not remember everybody who was ever there."""
        if len(self.all) > MANY:
            self.all = {pid: each for pid, each in self.all.items() if each.alive}
            self.threads = [each for each in self.threads if each.is_alive()]

    def start(
        self,
        command: Sequence[str],
        parent: Process | None,
        environment: Mapping[str, str] | None = None,
        sids: frozenset[str] | None = None,
        **more: Any,
    ) -> Process:
        """Start a program by its full path; its thread runs until it ends. Raises as CreateProcess does."""
        image = self.resolved(command[0])
        self.log.append([image, *map(str, command[1:])])
        program = self.programs.get(self.machine.drive.key(image)) or self.built(image)
        if program is None:
            raise error(2 if not self.machine.drive.exists(image) else 193, image)
        process = self.add(
            image,
            parent.pid if parent else 4,
            sids if sids is not None else parent.sids if parent else self.machine.user_sids,
            arguments=list(command[1:]),
            environment=dict(environment if environment is not None else parent.environment if parent else {}),
            session=more.pop("session", parent.session if parent else 0),
            **more,
        )
        thread = threading.Thread(target=self._run, args=(process, program), daemon=True)
        self.threads.append(thread)
        thread.start()
        return process

    def built(self, image: str) -> Program | None:
        """The program that a file is by its content, wherever it was unpacked to: see `wrapped`."""
        real = self.machine.drive.real(image)
        if not real.is_file():
            return None
        with real.open("rb") as file:
            head = file.read(200)
        kind = head[len(MARK) :].partition(b"\n")[0].decode("ascii", "replace") if head.startswith(MARK) else ""
        return self.kinds.get(kind)

    def resolved(self, name: str) -> str:
        """A bare name is looked for in System32, and gets its .exe there."""
        if "\\" in name:
            return name
        name = name if "." in name else name + ".exe"
        return f"C:\\Windows\\System32\\{name}"

    def _run(self, process: Process, program: Program) -> None:
        running = self.machine.running
        running.process = process
        try:
            process.ended.wait(self.slow_s.get(process.name.lower(), 0))
            process.check()
            code = program(process)
        except Ended:
            code = 1
        except Exception as problem:  # a bug of a stand-in or of the agent: the test must know
            self.faults.append(problem)
            code = 1
        self.end(process, code)

    def end(self, process: Process, code: int) -> None:
        """The process is gone, and with it every job that it alone held open."""
        with self.lock:
            if not process.alive:
                return
            process.code = code
            held = list(process.holds)
        for sink in process.sinks:
            if hasattr(sink, "close"):
                sink.close()
        process.ended.set()
        for job in held:
            self.end_job(job)
        self.machine.scheduler.ended(process)

    def of_job(self, name: str) -> list[Process]:
        with self.lock:
            return [each for each in self.all.values() if each.alive and name in each.jobs]

    def end_tree(self, process: Process) -> None:
        for each in self.children(process.pid):
            self.end_tree(each)
        self.end(process, 1)

    def end_job(self, name: str) -> None:
        for each in self.of_job(name):
            self.end(each, 1)

    def children(self, pid: int) -> list[Process]:
        with self.lock:
            return [each for each in self.all.values() if each.alive and each.parent == pid]

    def find(self, name: str) -> list[Process]:
        with self.lock:
            return [each for each in self.all.values() if each.alive and each.name.lower() == name.lower()]

    def close(self) -> None:
        """Every process ends; no thread outlives the test."""
        for each in list(self.all.values()):
            self.end(each, 1)
        for thread in self.threads:
            thread.join(5)
        if self.faults:
            raise self.faults[0]
