"""A Python whose `C:\\` is a folder: modules loaded anew over a stand-in of `nt`, in the thread of a stand-in process.

Modules of the agent and those of the standard library that touch files are executed again from their sources with
`os`, `sys`, `io`, `subprocess` and `open` of the machine; everything else is shared with the test.
"""

# ruff: noqa: PTH208, PTH116
from __future__ import annotations

import builtins
import contextlib
import io
import os
import stat
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from . import room, security, win32
from .drive import error, translated
from .machine import PYTHON, Machine
from .processes import Process
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
        self.modules["nt"] = _nt(self)
        self.modules["sys"] = self._sys(argv)
        self.modules["io"] = self._io()
        self.modules["subprocess"] = _subprocess(self)
        self.modules["time"] = self._time()
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


def _as_windows(found: os.stat_result, path: str) -> os.stat_result:
    """A mode as Windows' Python makes it: of the read-only attribute and the ending, whatever `chmod` was told."""
    if stat.S_ISREG(found.st_mode):
        mode = stat.S_IFREG | (0o666 if found.st_mode & stat.S_IWUSR else 0o444)
        mode |= 0o111 if path.lower().endswith((".exe", ".bat", ".cmd", ".com")) else 0
    elif stat.S_ISDIR(found.st_mode):
        mode = stat.S_IFDIR | 0o777
    else:
        return found
    return os.stat_result((mode, *found[1:]), {name: getattr(found, name) for name in _TIMES})


_TIMES = ("st_atime", "st_mtime", "st_ctime", "st_atime_ns", "st_mtime_ns", "st_ctime_ns")


def _target(number: int) -> Path:
    try:
        return Path(f"/proc/self/fd/{number}").readlink()
    except OSError:
        return Path()


class _Entry:
    """An entry of `os.scandir`, whose path is Windows' own."""

    def __init__(self, folder: str, real: os.DirEntry[str]) -> None:
        self.name, self.path = real.name, f"{folder}\\{real.name}"
        self.is_dir, self.is_file, self.is_symlink = real.is_dir, real.is_file, real.is_symlink
        self.inode, self._real = real.inode, real

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return _as_windows(self._real.stat(follow_symlinks=follow_symlinks), self.name)

    @staticmethod
    def is_junction() -> bool:
        return False

    def __fspath__(self) -> str:
        return self.path


class _Listing:
    def __init__(self, folder: str, real: Any) -> None:
        with real:
            self.entries = iter([_Entry(folder, each) for each in real])

    def __iter__(self) -> Iterator[_Entry]:
        return self.entries

    def __next__(self) -> _Entry:
        return next(self.entries)

    def __enter__(self) -> _Listing:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def close(self) -> None:
        return


class _Trap(types.ModuleType):
    """A module that nothing may use on Windows."""

    def __init__(self, why: str) -> None:
        super().__init__("trap")
        self.why = why

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(self.why)


def _nt(world: World) -> Any:
    """What `os` builds on."""
    machine, drive = world.machine, world.machine.drive
    nt: Any = types.ModuleType("nt")
    for name in ("close", "read", "fsync", "lseek", "urandom", "fspath", "isatty", "strerror"):
        setattr(nt, name, getattr(os, name))
    for name in dir(os):
        if name.startswith(("O_", "EX_")) or name in ("stat_result", "DirEntry", "F_OK", "R_OK", "W_OK", "X_OK"):
            setattr(nt, name, getattr(os, name))
    nt._have_functions = []
    nt.O_BINARY = 0
    nt.environ = {}
    nt.error = OSError
    streams: dict[int, int] = {}

    def sids() -> frozenset[str]:
        return machine.process().sids

    def absolute(path: Any) -> str:
        text: str = os.fspath(path)
        return text if text[1:2] == ":" or text.startswith("\\\\?\\") else f"{nt.getcwd()}\\{text}".rstrip("\\.")

    def guarded(change: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(path: Any, *more: Any, **options: Any) -> Any:
            machine.process().check()
            try:
                return change(absolute(path), *more, **options)
            except OSError as problem:
                if hasattr(problem, "winerror"):
                    raise
                raise translated(problem, str(path)) from None

        return wrapped

    def wanted(flags: int) -> int:
        kinds = {os.O_RDONLY: security.READ, os.O_WRONLY: security.WRITE, os.O_RDWR: security.READ | security.WRITE}
        return kinds[flags & (os.O_WRONLY | os.O_RDWR)]

    def open_(path: str, flags: int, mode: int = 0o777, **_: Any) -> int:
        real, there = drive.real(path), drive.exists(path)
        if there and flags & os.O_CREAT and flags & os.O_EXCL:
            raise error(80, path)
        if there and real.is_dir():
            raise error(5, path)
        if not there and not flags & os.O_CREAT:
            raise error(2 if real.parent.is_dir() else 3, path)
        if there and drive.key(path) in drive.locked.union(drive.uploads):
            raise error(32, path)
        if there:
            drive.must_allow(path, sids(), wanted(flags))
        else:
            drive.may_create(path, sids(), directory=False)
        descriptor = os.open(real, flags | os.O_CLOEXEC, 0o600)
        if not there:
            drive.born(path)
        return descriptor

    def mkdir(path: str, mode: int = 0o777, **_: Any) -> None:
        if drive.exists(path):
            raise error(183, path)
        drive.may_create(path, sids(), directory=True)
        drive.real(path).mkdir()
        drive.born(path)
        if mode == 0o700:  # since 3.12.4: SYSTEM, Administrators and whoever owns it, nobody else
            sddl = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"
            drive.descriptors[drive.key(path)] = security.parse(sddl)

    def listdir(path: str = ".") -> list[str]:
        if drive.exists(path) and not drive.real(path).is_dir():
            raise error(267, path)
        if drive.exists(path):
            drive.must_allow(path, sids(), security.READ)
        return os.listdir(drive.real(path))

    def unlink(path: str, **_: Any) -> None:
        real = drive.real(path)
        if real.is_dir() and not real.is_symlink():
            raise error(5, path)
        drive.delete(path, sids())

    def rmdir(path: str, **_: Any) -> None:
        if drive.exists(path) and not drive.real(path).is_dir():
            raise error(267, path)
        drive.delete(path, sids())

    def stat(path: str, follow_symlinks: bool = True, **_: Any) -> os.stat_result:
        return _as_windows(os.stat(drive.real(path), follow_symlinks=follow_symlinks), path)

    def chmod(path: str, mode: int, **_: Any) -> None:
        drive.real(path).chmod(0o600 if mode & 0o200 else 0o400)

    nt.open = guarded(open_)
    nt.mkdir, nt.listdir, nt.unlink, nt.rmdir = guarded(mkdir), guarded(listdir), guarded(unlink), guarded(rmdir)
    nt.remove, nt.stat, nt.chmod = nt.unlink, guarded(stat), guarded(chmod)
    nt.lstat = guarded(lambda path: _as_windows(os.lstat(drive.real(path)), path))
    nt.fstat = lambda number: _as_windows(os.fstat(number), str(_target(number)))
    nt.utime = guarded(lambda path, times=None, **_: os.utime(drive.real(path), times))
    nt.scandir = guarded(lambda path=".": _Listing(path, os.scandir(drive.real(path))))
    nt.access = guarded(lambda path, mode: drive.exists(path))
    nt.replace = guarded(lambda source, target, **_: drive.move(source, absolute(target), sids(), True))
    nt.rename = guarded(lambda source, target, **_: drive.move(source, absolute(target), sids(), False))
    nt._getdiskusage = lambda path: (1 << 40, 0 if drive.full else 1 << 39)
    nt.getcwd = lambda: "C:\\Users\\Anna"
    nt.getpid = lambda: world.process.pid
    nt.umask = lambda mask: 0
    nt.putenv = nt.unsetenv = lambda *_: None
    nt._exit = lambda code: None

    def write(descriptor: int, data: bytes) -> int:
        room.must_fit(drive, descriptor, len(data))
        return os.write(descriptor, data)

    def dup(descriptor: int) -> int:
        return os.dup(streams.get(descriptor, descriptor))

    def dup2(source: int, target: int, inheritable: bool = True) -> int:
        before = streams.get(target)
        streams[target] = os.dup(streams.get(source, source))
        if before is not None:
            os.close(before)
        return target

    def attach(standard: Mapping[int, int]) -> None:
        streams.update(standard)

    def close_streams() -> None:
        for each in set(streams.values()):
            os.close(each)
        streams.clear()

    nt.dup, nt.dup2, nt.attach, nt.close_streams, nt.write = dup, dup2, attach, close_streams, write
    for name, value in world.process.environment.items():
        nt.environ[name] = value
    return nt


def _subprocess(world: World) -> Any:
    """Starts stand-in programs. A stream that is not redirected fails the test: sshd's pipes are not for children."""
    machine = world.machine
    module: Any = types.ModuleType("subprocess")
    for name in ("PIPE", "DEVNULL", "STDOUT", "TimeoutExpired", "CompletedProcess", "SubprocessError"):
        setattr(module, name, getattr(subprocess, name))

    class Popen:
        def __init__(self, args: Sequence[str], **options: Any) -> None:
            wanted = {name: options.get(name) for name in ("stdin", "stdout", "stderr")}
            if options.get("input") is not None:
                wanted["stdin"] = subprocess.PIPE
            loose = [name for name, value in wanted.items() if value is None]
            assert not loose, f"{args[0]}: {loose} would be sshd's own pipes"
            sinks: list[Any] = []
            self.stdout: Any = None
            self.stderr: Any = None
            for name in ("stdout", "stderr"):
                target = wanted[name]
                if target == subprocess.STDOUT:
                    sinks.append(sinks[0])
                elif target is not None and not isinstance(target, int):
                    sinks.append(_Appender(os.dup(target.fileno())))
                elif target == subprocess.PIPE and not options.get("captured"):
                    reading, writing = os.pipe()
                    sinks.append(_Appender(writing))
                    setattr(self, name, os.fdopen(reading, "rb", buffering=0))
                else:
                    sinks.append(lambda _: None)
            environment = options.get("env")
            self.args = args
            self.process = machine.processes.start(
                list(args),
                parent=machine.process(),
                environment=environment,
                given=options.get("input") or b"",
                has_input=options.get("input") is not None,
                sinks=sinks,
            )
            self.pid = self.process.pid

        @property
        def returncode(self) -> int | None:
            return self.poll()

        def poll(self) -> int | None:
            return self.process.code

        def wait(self, timeout: float | None = None) -> int:
            own = machine.process()
            end = time.monotonic() + timeout if timeout is not None else None
            while not self.process.ended.wait(0.01):
                own.check()
                if end and time.monotonic() > end:
                    raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            own.check()
            return self.process.code or 0

        def kill(self) -> None:
            machine.processes.end(self.process, 1)

        terminate = kill

        def __enter__(self) -> Popen:
            return self

        def __exit__(self, *_: object) -> None:
            self.wait()

    def run(args: Sequence[str], timeout: float | None = None, capture_output: bool = False, **options: Any) -> Any:
        if capture_output:
            options.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started = Popen(args, captured=True, **options)
        try:
            code = started.wait(timeout)
        except subprocess.TimeoutExpired:
            started.kill()
            raise
        return subprocess.CompletedProcess(args, code, bytes(started.process.out), bytes(started.process.err))

    module.Popen, module.run = Popen, run
    return module


class _Appender:
    """The child's own handle to a file or pipe: open as long as the child lives, whatever the parent does."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lock = threading.Lock()

    def __call__(self, data: bytes) -> None:
        with self.lock:
            if self.descriptor >= 0:
                os.write(self.descriptor, data)

    def close(self) -> None:
        with self.lock:
            if self.descriptor >= 0:
                os.close(self.descriptor)
            self.descriptor = -1


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
