"""`C:\\` as a folder: names without case, descriptors by inheritance, open files that refuse, WinError numbers."""

# ruff: noqa: PTH208, PTH115
from __future__ import annotations

import errno
import os
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import security
from .security import ADD_FILE, ADD_FOLDER, ADMINISTRATORS, DELETE, DELETE_CHILD, SYSTEM, Descriptor

# recorded: research notes on real descriptors of Windows 11
ROOT = (
    f"O:{security.TRUSTED_INSTALLER}D:PAI(A;;LC;;;AU)(A;OICIIO;SDGXGWGR;;;AU)(A;OICI;FA;;;SY)"
    "(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)"
)
PROGRAM_DATA = "O:SYD:PAI(A;OICIIO;GA;;;CO)(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)(A;CI;DCLCRPCR;;;BU)"
PROGRAM_FILES = (
    f"O:{security.TRUSTED_INSTALLER}D:PAI(A;OICIIO;GA;;;CO)(A;;0x1301bf;;;SY)(A;OICIIO;GA;;;SY)(A;;0x1301bf;;;BA)"
    "(A;OICIIO;GA;;;BA)(A;;0x1200a9;;;BU)(A;OICIIO;GXGR;;;BU)"
)
PROFILE = "O:SYD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{user})"

ERRNO = {2: errno.ENOENT, 3: errno.ENOENT, 5: errno.EACCES, 32: errno.EACCES, 80: errno.EEXIST, 183: errno.EEXIST}
ERRNO |= {145: errno.ENOTEMPTY, 267: errno.ENOTDIR, 112: errno.ENOSPC, 1307: errno.EINVAL, 1332: errno.EINVAL}
ERRNO |= {17: errno.EXDEV, 123: errno.EINVAL, 206: errno.ENOENT, 22: errno.EINVAL, 87: errno.EINVAL}
TEXTS = {2: "The system cannot find the file specified", 5: "Access is denied", 145: "The directory is not empty"}
TEXTS |= {32: "The process cannot access the file because it is being used by another process", 112: "The disk is full"}
TEXTS |= {123: "The filename, directory name, or volume label syntax is incorrect"}
TEXTS |= {3: "The system cannot find the path specified", 183: "Cannot create a file when that file already exists"}


def error(number: int, path: str = "", other: str | None = None) -> OSError:
    """The exception that Python raises on Windows for that error."""
    text = TEXTS.get(number, f"Windows error {number}")
    problem: Any = OSError(ERRNO.get(number, errno.EINVAL), text, path or None, None, other)
    problem.winerror = number
    return problem  # type: ignore[no-any-return]


MANY = 1 << 22  # bytes: a secret is in no larger file
FROM_ERRNO = {errno.ENOENT: 2, errno.EACCES: 5, errno.EPERM: 5, errno.EEXIST: 183, errno.ENOTEMPTY: 145}
FROM_ERRNO |= {errno.ENAMETOOLONG: 123, errno.ENOTDIR: 3, errno.EISDIR: 5, errno.ENOSPC: 112, errno.EXDEV: 17}


def translated(problem: OSError, path: str, other: str | None = None) -> OSError:
    return error(FROM_ERRNO.get(problem.errno or 0, 22), path, other)


class Drive:
    """The file system. Paths come in Windows' form; `real` gives the folder's."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = folder / "C"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dice = dice
        self.descriptors: dict[str, Descriptor] = {"c:": security.parse(ROOT)}
        self.owner_is_user: str | None = None  # else Administrators: both are on record for elevated creation
        self.unreliable = 0.0  # the share of replacements refused without a visible cause (recorded: about 4 %)
        self.full = False
        self.fills_at = ""  # it is, from the moment on when something with this in its path is made
        self.locked: set[str] = set()  # opened by a program that shares nothing
        self.loaded: set[str] = set()  # executables that run
        self.sought = b""  # a secret that a test planted
        self.holding: dict[str, set[str]] = {}  # the files that held it, each with every access it had meanwhile
        self.uploads: list[str] = []  # what sftp-server writes just now: it shares writing only

    # -- names
    def key(self, path: str) -> str:
        path = re.sub(r"\\+", r"\\", path.removeprefix("\\\\?\\").replace("/", "\\")).rstrip("\\")
        assert path[1:2] == ":", f"{path!r} has no drive: the agent works with full paths"
        return path.lower()

    def real(self, path: str) -> Path:
        """The path in the folder, with the case of what is there already."""
        names = [each for each in self.key(path).split("\\")[1:] if each]
        given = [each for each in path.removeprefix("\\\\?\\").replace("/", "\\").split("\\")[1:] if each]
        at = self.folder
        for name, as_given in zip(names, given, strict=True):
            there = as_given
            if not (at / as_given).exists() and at.is_dir():
                there = next((each for each in os.listdir(at) if each.lower() == name), as_given)
            at /= there
        return at

    def exists(self, path: str) -> bool:
        return self.real(path).exists()

    def path_of(self, real: Path) -> str:
        return "\\".join(["C:", *real.relative_to(self.folder).parts])

    # -- what is open
    def is_open(self, path: str) -> bool:
        """Held by this process (Python shares no deletion), by a locker, or running."""
        key = self.key(path)
        below = key + "\\"
        if any(each == key or each.startswith(below) for each in self.locked | self.loaded):
            return True
        real = str(self.real(path))
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                target = os.readlink(f"/proc/self/fd/{descriptor}")
            except OSError:
                continue
            if target == real or target.startswith(real + "/"):
                return True
        return False

    def is_read(self, path: str) -> bool:
        """Whether a file of this process is open on it for reading."""
        real = str(self.real(path))
        for descriptor in os.listdir("/proc/self/fd"):
            try:
                if os.readlink(f"/proc/self/fd/{descriptor}") == real:
                    flags = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").split("flags:")[1]
                    if int(flags.split()[0], 8) & os.O_ACCMODE != os.O_WRONLY:
                        return True
            except OSError:
                continue
        return False

    # -- access
    def note(self, path: str) -> None:
        """Write down who may read it, if it holds what is sought: before each change of its access or its name."""
        real = self.real(path)
        if self.sought and real.is_file() and real.stat().st_size < MANY and self.sought in real.read_bytes():
            self.holding.setdefault(path, set()).add(security.render(self.descriptor(path), ""))

    def descriptor(self, path: str) -> Descriptor:
        key = self.key(path)
        if key not in self.descriptors:
            if not self.exists(path):
                raise error(2, path)
            self.born(path)
        return self.descriptors[key]

    def born(self, path: str, owner: str = "", closed: str = "") -> None:
        """A new file or folder has its descriptor from the folder above; from its maker's token if that says nothing.
        `closed`: it is given one instead.

        Documented: "DACL for a New Object", win32 SecAuthZ. Simplified: who made it is always elevated or SYSTEM.
        """
        owner = owner or self.owner_is_user or ADMINISTRATORS
        if closed:
            self.descriptors[self.key(path)] = replace(security.parse(closed), owner=owner)
            return
        above = self.descriptor(path.rstrip("\\").rpartition("\\")[0])
        hands_down = any(ace.flags & {"OI", "CI"} for ace in above.aces)
        aces = security.inherited(above, self.real(path).is_dir(), owner) if hands_down else security.TOKENS_OWN
        self.descriptors[self.key(path)] = security.normalised(Descriptor(owner, aces))

    def set_descriptor(self, path: str, sddl: str, sids: frozenset[str], restore: bool) -> None:
        old, new = self.descriptor(path), security.parse(sddl)
        may_dac = SYSTEM in sids or security.allows(old, sids, security.WRITE_DAC)
        if not may_dac:
            raise error(5, path)
        if new.owner and new.owner not in sids and not restore:
            raise error(1307, path)
        self.note(path)
        owner = new.owner or old.owner
        self.descriptors[self.key(path)] = security.normalised(Descriptor(owner, new.aces, protected=True))
        self._propagate(path)

    def _propagate(self, path: str) -> None:
        real = self.real(path)
        for name in os.listdir(real) if real.is_dir() else ():
            child = f"{path.rstrip(chr(92))}\\{name}"
            kept = self.descriptor(child)
            if not kept.protected:
                explicit = tuple(ace for ace in kept.aces if "ID" not in ace.flags)
                down = security.inherited(self.descriptor(path), self.real(child).is_dir(), kept.owner)
                self.descriptors[self.key(child)] = security.normalised(Descriptor(kept.owner, explicit + down))
                self._propagate(child)

    def sddl(self, path: str) -> str:
        """`P`, `PAI` or `AI` at random: texts cannot be compared."""
        found = self.descriptor(path)
        control = self.dice.choice(("P", "PAI")) if found.protected else self.dice.choice(("", "AI"))
        return security.render(found, control)

    def must_allow(self, path: str, sids: frozenset[str], wanted: int) -> None:
        if not security.allows(self.descriptor(path), sids, wanted):
            raise error(5, path)

    # -- changes
    def may_create(self, path: str, sids: frozenset[str], directory: bool) -> None:
        above = path.rstrip("\\").rpartition("\\")[0]
        if not self.exists(above):
            raise error(3, path)
        self.must_allow(above, sids, ADD_FOLDER if directory else ADD_FILE)
        if self.full:
            raise error(112, path)
        if self.fills_at and self.fills_at.lower() in path.lower():
            self.full, self.fills_at = True, ""

    def may_delete(self, path: str, sids: frozenset[str]) -> None:
        found, above = self.descriptor(path), path.rstrip("\\").rpartition("\\")[0]
        if not security.allows(found, sids, DELETE) and not security.allows(self.descriptor(above), sids, DELETE_CHILD):
            raise error(5, path)
        if self.real(path).is_file() and not self.real(path).stat().st_mode & 0o200:
            raise error(5, path)

    def move(self, source: str, target: str, sids: frozenset[str], replacing: bool) -> None:
        """MoveFileExW: the moved one keeps its own owner and DACL. 32: the source is open, 5: the target is."""
        if not self.exists(source):
            raise error(2, source, target)
        if self.is_open(source):
            raise error(5 if self.real(source).is_dir() else 32, source, target)
        self.may_delete(source, sids)
        if self.exists(target) and self.key(source) != self.key(target):
            if not replacing:
                raise error(183, source, target)
            if self.is_open(target) or self.real(target).is_dir():
                raise error(5, source, target)
            self.may_delete(target, sids)
        else:
            self.may_create(target, sids, self.real(source).is_dir())
        if self.dice.random() < self.unreliable:
            raise error(5, source, target)
        self.note(source)
        moved = self._taken(source)
        self._taken(target)
        real = self.real(target)
        self.real(source).rename(real)
        new = self.key(target)
        self.descriptors.update({new + each: descriptor for each, descriptor in moved.items()})

    def _taken(self, path: str) -> dict[str, Descriptor]:
        """The descriptors of a path and all below it, by the rest of their names, taken out of the store."""
        if self.exists(path):
            self.descriptor(path)
        key = self.key(path)
        if not self.real(path).is_dir():  # tens of thousands lie there: not each time through all of them
            return {"": self.descriptors.pop(key)} if key in self.descriptors else {}
        names = [each for each in list(self.descriptors) if each == key or each.startswith(key + "\\")]
        return {each[len(key) :]: self.descriptors.pop(each) for each in names}

    def replace_file(self, target: str, replacement: str) -> None:
        """ReplaceFileW: the replaced file's descriptor stays."""
        if not self.exists(target):
            raise error(2, target)
        kept = self.descriptor(target)
        self._taken(replacement)
        self.real(replacement).replace(self.real(target))
        self.descriptors[self.key(target)] = kept

    def delete(self, path: str, sids: frozenset[str]) -> None:
        real = self.real(path)
        if real.is_symlink():  # Windows has none here: a program below made it, and it counts for nothing
            real.unlink()
            return
        if not real.exists():
            raise error(2 if real.parent.exists() else 3, path)
        if self.is_open(path):
            raise error(32 if real.is_file() else 5, path)
        self.may_delete(path, sids)
        self.note(path)
        try:
            real.rmdir() if real.is_dir() else real.unlink()
        except OSError as problem:
            raise translated(problem, path) from None
        self._taken(path)

    # -- for tests
    def write(self, path: str, content: bytes | str = b"") -> None:
        """Put a file there as an administrator would, with its folders."""
        self.make(path.rpartition("\\")[0])
        self.real(path).write_bytes(content.encode() if isinstance(content, str) else content)
        if self.key(path) not in self.descriptors:
            self.born(path)

    def make(self, path: str, sddl: str = "") -> None:
        above = path.rpartition("\\")[0]
        if above and not self.exists(above):
            self.make(above)
        if not self.exists(path):
            self.real(path).mkdir()
            self.born(path)
        if sddl:
            self.descriptors[self.key(path)] = security.parse(sddl)

    def read(self, path: str) -> bytes:
        return self.real(path).read_bytes()

    def wipe_file(self, path: str) -> None:
        self._taken(path)
        self.real(path).unlink()

    def wipe(self, path: str) -> None:
        self._taken(path)
        shutil.rmtree(self.real(path), ignore_errors=True)
