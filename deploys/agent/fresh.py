"""New files with names that nobody can guess. `tempfile` is not for Windows.

In a folder that refuses it, Python 3.12's `mkstemp` tries two thousand million names there, for hours.
"""

from __future__ import annotations

import os


def fresh(directory: str, prefix: str = ".new-") -> tuple[int, str]:
    """A new, empty file in `directory`, open for reading and writing: (descriptor, path)."""
    path = os.path.join(directory, prefix + os.urandom(8).hex())
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
