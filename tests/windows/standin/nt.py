"""The stand-in of `nt`, on which Windows' `os` builds: a machine's files as one of its processes sees them."""

# ruff: noqa: PTH208, PTH116
from __future__ import annotations

import os
import stat
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import room, security
from .drive import error, translated

if TYPE_CHECKING:
    from .python import World


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


def module(world: World) -> Any:
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
        # since 3.12.4: SYSTEM, Administrators and whoever owns it, nobody else, from its making on
        drive.born(path, closed="D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)" if mode == 0o700 else "")

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
