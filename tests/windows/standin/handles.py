"""Handles: of one file, directory or link, whatever has its name meanwhile. Junctions are links of the folder's own."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from . import security
from .drive import Drive, error

CHECKED = 0xF0021  # what the descriptor must allow: the list itself, its owner, deletion, a folder's names
JUNCTION = 0xA0000003


class Handle:
    """What `CreateFileW` gives for FILE_FLAG_OPEN_REPARSE_POINT, sharing everything."""

    def __init__(self, drive: Drive, path: str) -> None:
        self.drive = drive
        self.first = path
        if not os.path.lexists(drive.real(path)):
            raise error(2 if drive.real(path).parent.is_dir() else 3, path)
        self.identity = _identity(drive.real(path))

    def real(self) -> Path:
        """Where it is now: another may have its name."""
        real = self.drive.real(self.first)
        if os.path.lexists(real) and _identity(real) == self.identity:
            return real
        for folder, folders, names in os.walk(self.drive.folder):
            for name in [*folders, *names]:
                if _identity(Path(folder, name)) == self.identity:
                    return Path(folder, name)
        raise error(2, self.first)

    def path(self) -> str:
        return self.drive.path_of(self.real())

    def tag(self) -> int:
        return JUNCTION if self.real().is_symlink() else 0

    def place(self) -> str:
        real = self.real()
        return "\\\\?\\" + self.drive.path_of(real.parent.resolve() / real.name)

    def inherit(self) -> None:
        """After its own list was set: what comes from above is added, and handed on."""
        path = self.path()
        kept, above = self.drive.descriptor(path), self.drive.descriptor(path.rpartition("\\")[0])
        down = security.inherited(above, self.real().is_dir(), kept.owner)
        made = security.normalised(replace(kept, aces=kept.aces + down, protected=False))
        self.drive.descriptors[self.drive.key(path)] = made
        self.drive._propagate(path)


def _identity(real: Path) -> tuple[int, int]:
    found = real.lstat()
    return found.st_dev, found.st_ino


def junction(drive: Drive, path: str, to: str, owner: str) -> None:
    """What any user can make: a folder that is another one."""
    drive.real(path).symlink_to(drive.real(to))
    drive.born(path, owner)
