"""sftp-server.exe: `/C:/` paths, its status codes, who may open what, access by inheritance and never by mode."""

from __future__ import annotations

import os
import posixpath
import re
import stat
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncssh
from asyncssh import FXF_APPEND, FXF_CREAT, FXF_EXCL, FXF_READ, FXF_TRUNC, FXF_WRITE, SFTPAttrs, SFTPError, SFTPName
from asyncssh.sftp import SFTPVFSAttrs

from . import sshkeys
from .drive import error, translated
from .security import AUTHENTICATED, EVERYONE, READ, WRITE

if TYPE_CHECKING:
    from .machine import Machine
    from .sshd import Connection

DENIED = asyncssh.SFTPPermissionDenied("Permission denied")
MISSING = asyncssh.SFTPNoSuchFile("No such file")
FAILURE = asyncssh.SFTPFailure("Failure")
# errno_from_Win32Error and errno_to_portable: all others are Failure
CODES: dict[int, SFTPError] = {5: DENIED, 1314: DENIED, 2: MISSING, 3: MISSING, 123: MISSING}
PROGRAMS = (".exe", ".cmd", ".bat", ".com")


def refusal(number: int, by_runtime: bool = False) -> SFTPError:
    """The status for a Win32 error; unlink, mkdir and rmdir go through the C runtime, where a user is EACCES."""
    if by_runtime and number == 32:
        return DENIED
    return CODES.get(number, FAILURE)


@dataclass(eq=False)
class Handle:
    """An open file. `key`: its name as the drive compares it."""

    number: int
    path: str
    key: str
    writes: bool
    appends: bool


class Sftp(asyncssh.SFTPServer):
    """One subsystem session."""

    def __init__(self, connection: Connection, chan: Any) -> None:
        super().__init__(chan)
        self.cut = connection.cut
        self.machine: Machine = connection.machine
        self.drive = self.machine.drive
        self.sids = sshkeys.token(self.machine, connection.user)
        self.handles: list[Handle] = []
        self.home = f"/C:/Users/{self.machine.user}"

    # -- names
    def realpath(self, path: bytes) -> bytes:
        """As _wfullpath: letters as given, no look at the disk, dots and blanks at the end of a name cut off."""
        return self._slashed(path).encode()

    def _slashed(self, path: bytes) -> str:
        text = path.decode("utf-8", "surrogateescape").replace("\\", "/")
        program_data = re.match(r"^/?__PROGRAMDATA__", text)
        if program_data:
            text = "/C:/ProgramData" + text[program_data.end() :]
        if re.match(r"^[A-Za-z]:", text):
            text = "/" + text
        elif text.startswith("/") and text != "/" and not re.match(r"^/[A-Za-z]:", text):
            text = "/C:" + text
        elif not text.startswith("/"):
            text = f"{self.home}/{text}"
        normal = posixpath.normpath(text)
        parts = [each if each in (".", "..") else each.rstrip(". ") or each for each in normal.split("/")]
        text = "/".join(parts) or "/"
        return text + "/" if re.fullmatch(r"/[A-Za-z]:", text) else text

    def _path(self, path: bytes) -> str:
        """Windows' form of it. Raises SFTPError for another drive than C: and for the list of drives."""
        text = self._slashed(path)[1:].replace("/", "\\")
        self.machine.transfers.append([sys._getframe(1).f_code.co_name.strip("_"), text])
        if text[:2].lower() != "c:":
            raise MISSING
        return text[:2].upper() + text[2:].rstrip("\\") if len(text) > 3 else "C:\\"

    def _there(self, path: bytes) -> str:
        found = self._path(path)
        if not self.drive.exists(found):
            raise MISSING
        return found

    # -- files
    def open(self, path: bytes, pflags: int, attrs: SFTPAttrs) -> object:
        name = self._path(path)
        writes, reads = bool(pflags & (FXF_WRITE | FXF_APPEND)), bool(pflags & FXF_READ)
        there = self.drive.exists(name)
        if there and self.drive.real(name).is_dir():
            return Handle(-1, name, self.drive.key(name), False, False)
        if there and pflags & FXF_CREAT and pflags & FXF_EXCL:
            raise FAILURE
        if not there and not pflags & FXF_CREAT:
            raise MISSING
        try:
            self._may_open(name, there, reads, writes, bool(pflags & FXF_TRUNC))
        except OSError as problem:
            raise self._as_status(problem, name) from None
        how = (os.O_RDWR if reads else os.O_WRONLY) if writes else os.O_RDONLY
        if pflags & FXF_TRUNC:
            how |= os.O_TRUNC
        number = os.open(self.drive.real(name), how | (0 if there else os.O_CREAT) | os.O_CLOEXEC, 0o600)
        if not there:
            self.drive.born(name)
        handle = Handle(number, name, self.drive.key(name), writes, bool(pflags & FXF_APPEND))
        self.handles.append(handle)
        if writes:
            self.drive.uploads.append(handle.key)
        return handle

    def _may_open(self, name: str, there: bool, reads: bool, writes: bool, anew: bool) -> None:
        """What CreateFile asks: the access list, the read-only attribute, and whom others share the file with."""
        drive = self.drive
        if drive.full and writes:
            raise error(112, name)
        if not there:
            drive.may_create(name, self.sids, directory=False)
            return
        drive.must_allow(name, self.sids, (READ if reads or not writes else 0) | (WRITE if writes else 0))
        if writes and not drive.real(name).stat().st_mode & stat.S_IWUSR:
            raise error(5, name)
        if drive.key(name) in drive.locked | (drive.loaded if writes else set()):
            raise error(32, name)
        if writes and drive.is_read(name):  # we share writing only
            raise error(32, name)
        if drive.key(name) in drive.uploads and (reads or not writes):
            raise error(32, name)

    def _as_status(self, problem: OSError, name: str, by_runtime: bool = False) -> SFTPError:
        found = problem if hasattr(problem, "winerror") else translated(problem, name)
        return refusal(found.winerror, by_runtime)  # type: ignore[attr-defined]

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        assert isinstance(file_obj, Handle)
        return os.pread(file_obj.number, size, offset)

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        assert isinstance(file_obj, Handle)
        if self.drive.full:
            raise FAILURE
        if file_obj.appends:
            return os.write(file_obj.number, data)
        if self.machine.cut_after is not None and offset + len(data) > self.machine.cut_after:
            data = data[: max(0, self.machine.cut_after - offset)]
            self.machine.cut_after = None
            self.cut()
        return os.pwrite(file_obj.number, data, offset)

    def close(self, file_obj: object) -> None:
        if isinstance(file_obj, Handle) and file_obj in self.handles:
            self.handles.remove(file_obj)
            os.close(file_obj.number)
            if file_obj.writes:
                self.drive.uploads.remove(file_obj.key)

    def exit(self) -> None:
        for each in list(self.handles):
            self.close(each)

    def fsync(self, file_obj: object) -> None:
        return

    # -- what a file is
    def stat(self, path: bytes) -> SFTPAttrs:
        if self._slashed(path) == "/":
            return SFTPAttrs(size=0, uid=0, gid=0, permissions=stat.S_IFDIR | 0o700, atime=0, mtime=0)
        return self._attributes(self._there(path))

    lstat = stat

    def fstat(self, file_obj: object) -> SFTPAttrs:
        assert isinstance(file_obj, Handle)
        return self._attributes(file_obj.path)

    def _attributes(self, name: str) -> SFTPAttrs:
        """Owner's bits from what it is; others' only from Everyone and Authenticated Users; group's never."""
        found = self.drive.real(name).stat()
        if stat.S_ISDIR(found.st_mode):
            mode = stat.S_IFDIR | 0o700
        else:
            mode = stat.S_IFREG | (0o600 if found.st_mode & stat.S_IWUSR else 0o400)
            mode |= 0o100 if name.lower().endswith(PROGRAMS) else 0
        for ace in self.drive.descriptor(name).aces:
            if ace.allow and ace.sid in (EVERYONE, AUTHENTICATED) and "IO" not in ace.flags:
                mode |= (0o004 if ace.mapped & READ else 0) | (0o002 if ace.mapped & WRITE else 0)
        seconds = int(found.st_mtime)
        return SFTPAttrs(size=found.st_size, uid=0, gid=0, permissions=mode, atime=seconds, mtime=seconds)

    def setstat(self, path: bytes, attrs: SFTPAttrs) -> None:
        """The owner's write bit is the read-only attribute; there is no more to a mode. chown is not supported."""
        name = self._there(path)
        if attrs.uid is not None or attrs.gid is not None:
            raise FAILURE
        real = self.drive.real(name)
        if attrs.permissions is not None and real.is_file():
            real.chmod(0o600 if attrs.permissions & stat.S_IWUSR else 0o400)
        if attrs.size is not None:
            os.truncate(real, attrs.size)
        if attrs.mtime is not None:
            if self.drive.is_read(name):
                raise FAILURE
            os.utime(real, (attrs.atime or attrs.mtime, attrs.mtime))

    lsetstat = setstat

    def fsetstat(self, file_obj: object, attrs: SFTPAttrs) -> None:
        assert isinstance(file_obj, Handle)
        if attrs.permissions is not None or attrs.size is not None:
            self.setstat(("/" + file_obj.path.replace("\\", "/")).encode(), SFTPAttrs(permissions=attrs.permissions))
        if attrs.size is not None:
            os.ftruncate(file_obj.number, attrs.size)

    async def scandir(self, path: bytes) -> AsyncIterator[SFTPName]:
        if self._slashed(path) == "/":
            yield SFTPName(b"C:", attrs=SFTPAttrs(size=0, uid=0, gid=0, permissions=stat.S_IFDIR | 0o700))
            return
        folder = self._there(path)
        try:
            self.drive.must_allow(folder, self.sids, READ)
        except OSError as problem:
            raise self._as_status(problem, folder) from None
        for each in (".", "..", *sorted(os.listdir(self.drive.real(folder)))):  # noqa: PTH208
            below = folder if each in (".", "..") else f"{folder.rstrip(chr(92))}\\{each}"
            yield SFTPName(each.encode(), attrs=self._attributes(below))

    # -- names changed
    def remove(self, path: bytes) -> None:
        name = self._there(path)
        if self.drive.real(name).is_dir() or not self.drive.real(name).stat().st_mode & stat.S_IWUSR:
            raise DENIED
        self._by_runtime(name)

    def rmdir(self, path: bytes) -> None:
        self._by_runtime(self._there(path))

    def _by_runtime(self, name: str) -> None:
        try:
            self.drive.delete(name, self.sids)
        except OSError as problem:
            raise self._as_status(problem, name, by_runtime=True) from None

    def mkdir(self, path: bytes, attrs: SFTPAttrs) -> None:
        name = self._path(path)
        if self.drive.exists(name):
            raise FAILURE
        try:
            if not self.drive.exists(name.rpartition("\\")[0]):
                raise error(3, name)
            self.drive.may_create(name, self.sids, directory=True)
        except OSError as problem:
            raise self._as_status(problem, name, by_runtime=True) from None
        self.drive.real(name).mkdir()
        self.drive.born(name)

    def rename(self, oldpath: bytes, newpath: bytes) -> None:
        """A hard link, then the old name goes: an existing target is in the way."""
        if self.drive.exists(self._path(newpath)):
            raise FAILURE
        self._move(self._there(oldpath), self._path(newpath))

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> None:
        """MoveFileEx with REPLACE_EXISTING; an empty folder in the way is removed first."""
        source, target = self._there(oldpath), self._path(newpath)
        if self.drive.exists(target) and self.drive.real(target).is_dir() and source.lower() != target.lower():
            self.rmdir(newpath)
        self._move(source, target)

    def _move(self, source: str, target: str) -> None:
        try:
            self.drive.move(source, target, self.sids, replacing=True)
        except OSError as problem:
            raise self._as_status(problem, target) from None

    def readlink(self, path: bytes) -> bytes:
        raise FAILURE

    def symlink(self, oldpath: bytes, newpath: bytes) -> None:
        raise FAILURE

    def statvfs(self, path: bytes) -> SFTPVFSAttrs:
        self._there(path)
        free = 0 if self.drive.full else 1 << 27
        return SFTPVFSAttrs(4096, 4096, 1 << 28, free, free, 0, 0, 0, 0, 0, 255)
