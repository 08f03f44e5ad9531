"""New files with names that nobody can guess. `tempfile` is not for Windows.

In a folder that refuses it, Python 3.12's `mkstemp` tries two thousand million names there, for hours.
"""

from __future__ import annotations

import os
import re
from typing import Callable

from .patience import clear_away

DEEPEST = 2  # folders below a home in which new files are made: what was fetched or unpacked lies deeper
REST = re.compile(r"\.new-.*?(\d+)-[0-9a-f]{16}")


def fresh(directory: str, prefix: str = ".new-") -> tuple[int, str]:
    """A new, empty file in `directory`, open for reading and writing: (descriptor, path). Its name tells its writer."""
    path = os.path.join(directory, f"{prefix}{os.getpid()}-{os.urandom(8).hex()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), path


def write_new(directory: str, content: bytes, prefix: str = ".new-") -> str:
    """Write a new file down to the disk. Gives its path; leaves none behind when it fails."""
    descriptor, path = fresh(directory, prefix)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        os.unlink(path)
        raise
    return path


def clear_rests(directory: str, is_alive: Callable[[int], bool]) -> None:
    """Remove, in the folders of `directory` in which we write, what writers that are no more left: a kill, a power cut.

    A process that has the number of such a writer by now keeps its rest until the next time.
    """
    for folder, folders, names in os.walk(directory):
        if folder.count(os.sep) == directory.count(os.sep) + DEEPEST:
            folders.clear()
        for name in names:
            rest = REST.fullmatch(name)
            if rest and not is_alive(int(rest[1])):
                clear_away(os.path.join(folder, name))
