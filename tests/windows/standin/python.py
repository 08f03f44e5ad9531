"""A Python whose `C:\\` is a folder: modules loaded anew over a stand-in of `nt`, in the thread of a stand-in process.

Modules of the agent and those of the standard library that touch files are executed again from their sources with
`os`, `sys`, `io`, `subprocess` and `open` of the machine; everything else is shared with the test.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import os
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import children, nt, room, win32
from .machine import PYTHON, Machine
from .processes import Ended, Process
from .zipped import modules

FRESH = {"os", "ntpath", "genericpath", "shutil", "tempfile", "zipfile", "tarfile", "gzip", "dataclasses"}
ABSENT = {"fcntl", "posix", "pwd", "grp", "termios", "resource", "_posixsubprocess", "pty", "venv", "pip", "tkinter"}
ABSENT |= {"ensurepip", "turtledemo", "idlelib", "test", "site"}
AGENT = "deploys.agent"
REPOSITORY = Path(__file__).parents[3]
_compiled: dict[bytes, types.CodeType] = {}


class World:
    """The modules that one stand-in process sees. `world.load("deploys.agent.windows.system")` gives one of them."""

    def __init__(self, machine: Machine, process: Process, argv: Sequence[str]) -> None:
        self.machine = machine
        self.process = process
        self.modules: dict[str, Any] = {}
        self.sent = modules(machine, argv[0]) if argv[0][1:2] == ":" else {}
        self.builtins = dict(vars(builtins))
        self.builtins.update({"__import__": self._import, "open": self.open})
        for name in ("exit", "quit"):  # `site` gives them, and it is not there
            self.builtins.pop(name, None)
        self.modules["builtins"] = types.ModuleType("builtins")  # tarfile and gzip take `open` from here
        vars(self.modules["builtins"]).update(self.builtins)
        self.modules["nt"] = nt.module(self)
        self.modules["sys"] = self._sys(argv)
        self.modules["io"] = self._io()
        self.modules["subprocess"] = children.module(self)
        self.modules["time"] = self._time()
        self.modules["threading"] = self._threading()
        self.modules["platform"] = _Trap("platform asks WMI, which is refused to a network logon and crashes")
        stand_in = types.ModuleType(f"{AGENT}.windows.win32")
        vars(stand_in).update(win32.functions(machine))
        self.modules[f"{AGENT}.windows.win32"] = stand_in

    def load(self, name: str) -> Any:
        if name not in self.modules:
            above, _, own = name.rpartition(".")
            if above:
                self.load(above)
            content, source, package = self._found(name)
            module = types.ModuleType(name)
            self.modules[name] = module
            vars(module).update(__builtins__=self.builtins, __file__=str(source))
            vars(module)["__package__"] = name if package else above
            if package:
                vars(module)["__path__"] = [str(source.parent)]
            if content not in _compiled:
                _compiled[content] = compile(content, str(source), "exec", dont_inherit=True)
            exec(_compiled[content], vars(module))
            if above:
                setattr(self.modules[above], own, module)
            if name == "os":
                self.modules["os.path"] = module.path
        return self.modules[name]

    def _found(self, name: str) -> tuple[bytes, Path, bool]:
        """(source, its file, whether it is a package): of the agent that was sent, else of this repository."""
        if name in self.sent:
            package = any(each.startswith(f"{name}.") for each in self.sent)
            return self.sent[name], Path(*name.split(".")).with_suffix(".py"), package
        if name == "deploys" and self.sent:
            return b"", Path("deploys"), True
        source = _source(name)
        return source.read_bytes(), source, source.name == "__init__.py"

    def _ours(self, name: str) -> bool:
        return (
            name in self.modules
            or name.split(".", maxsplit=1)[0] in FRESH
            or name.startswith(AGENT)
            or name == "deploys"
        )

    def _import(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if level:
            package = (globals or {})["__package__"].rsplit(".", level - 1)[0]
            name = f"{package}.{name}" if name else package
        if name.split(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if not self._ours(name):
            return builtins.__import__(name, globals, locals, fromlist or (), 0)
        module = self.load(name)
        for each in fromlist or ():
            if not hasattr(module, each) and hasattr(module, "__path__"):
                self._submodule(name, each)
        return module if fromlist else self.load(name.split(".")[0])

    def _submodule(self, package: str, name: str) -> None:
        if f"{package}.{name}" not in self.modules:
            self.load(f"{package}.{name}")
        setattr(self.modules[package], name, self.modules[f"{package}.{name}"])

    # -- files
    def open(self, file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        """Python's own: shares reading and writing, never deletion; text gets CRLF."""
        if "b" not in mode and options.get("newline") is None and "r" not in mode:
            options["newline"] = "\r\n"
        if isinstance(file, int):
            return room.opened(self.machine.drive, file, mode, *more, **options)
        path = os.fspath(file)
        flags = os.O_RDONLY
        if "w" in mode:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        elif "a" in mode:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        elif "x" in mode:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        if "+" in mode:
            flags = flags & ~(os.O_WRONLY) | os.O_RDWR
        descriptor = self.modules["nt"].open(path, flags)
        return room.opened(self.machine.drive, descriptor, mode, *more, **options)

    def _io(self) -> Any:
        module = types.ModuleType("io")
        vars(module).update(vars(io))
        vars(module)["open"] = self.open
        return module

    def _sys(self, argv: Sequence[str]) -> Any:
        module = types.ModuleType("sys")
        vars(module).update(vars(sys))
        vars(module).update(
            argv=list(argv),
            executable=PYTHON,
            platform="win32",
            modules=self.modules,
            builtin_module_names=("nt", "sys", "winreg"),
            getwindowsversion=lambda: _Version(10, 0, 26100, 2, ""),
            stdin=types.SimpleNamespace(buffer=self.process.input()),
            stdout=_Stream(self.process.out),
            stderr=_Stream(self.process.err),
        )
        return module

    def _time(self) -> Any:
        """Sleeping ends with the process."""
        module: Any = types.ModuleType("time")
        vars(module).update(vars(time))

        def sleep(seconds: float) -> None:
            self.process.ended.wait(seconds)
            self.process.check()

        module.sleep = sleep
        return module

    def _threading(self) -> Any:
        """Threads belong to the process, and end with it."""
        module: Any = types.ModuleType("threading")
        vars(module).update(vars(threading))
        world = self

        class Thread(threading.Thread):
            def run(self) -> None:
                world.machine.running.process = world.process
                with contextlib.suppress(Ended):
                    super().run()

        module.Thread = Thread
        return module

    def finish(self) -> None:
        """Give back the descriptors that stand for the standard streams."""
        self.modules["nt"].close_streams()


class _Version(NamedTuple):
    major: int
    minor: int
    build: int
    platform: int
    service_pack: str


def _source(name: str) -> Path:
    """The file of a module: of the library when it is one of those loaded anew, else of this repository."""
    top = Path(os.__file__).parent if name.split(".", maxsplit=1)[0] in FRESH else REPOSITORY
    below = top.joinpath(*name.split("."))
    for path in (below / "__init__.py", below.with_name(below.name + ".py")):
        if path.exists():
            return path
    raise ModuleNotFoundError(f"No module named {name!r}", name=name)


class _Stream(io.TextIOBase):
    def __init__(self, into: bytearray) -> None:
        self.into = into

    def write(self, text: str) -> int:
        self.into.extend(text.replace("\n", "\r\n").encode())
        return len(text)


class _Trap(types.ModuleType):
    """A module that nothing may use on Windows."""

    def __init__(self, why: str) -> None:
        super().__init__("trap")
        self.why = why

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(self.why)


def interpreter(machine: Machine) -> Callable[[Process], int]:
    """`python.exe -I -X utf8 agent.pyz VERB ...`: the agent's own `main`, in a world of its own."""

    def python(process: Process) -> int:
        arguments = list(process.arguments)
        while arguments and arguments[0].startswith("-"):
            arguments.pop(0) if arguments[0] == "-I" else arguments.__delitem__(slice(0, 2))
        script = arguments[0]
        if not machine.drive.exists(script):
            process.say(f"can't open file '{script}': [Errno 2] No such file or directory\r\n", error=True)
            return 2
        content = machine.drive.read(script)
        if not content:
            return 0
        if not content.startswith(b"PK"):
            process.say("SyntaxError: source code cannot contain null bytes\r\n", error=True)
            return 1
        world = World(machine, process, arguments)
        with _streams(world):
            try:
                code: int = world.load(f"{AGENT}.main").main()
            except SystemExit as problem:
                code = int(problem.code or 0)
        return code

    return python


@contextlib.contextmanager
def _streams(world: World) -> Iterator[None]:
    """Descriptors 1 and 2 of the stand-in's own: what is written to them, the process says."""
    writing, pumps = {}, []
    for number in (1, 2):
        reading, writing[number] = os.pipe()
        pumps.append(threading.Thread(target=_pump, args=(world.process, reading, number == 2), daemon=True))
        pumps[-1].start()
    world.modules["nt"].attach(writing)
    try:
        yield
    finally:
        world.finish()
        for each in pumps:
            each.join(5)


def _pump(process: Process, reading: int, error: bool) -> None:
    with os.fdopen(reading, "rb", buffering=0) as file:
        for block in iter(lambda: file.read(1 << 16), b""):
            process.say(block, error=error)
