"""Files of a drive that may be full: what is there can be written over, nothing grows.

Python's own files come by the C runtime there, so that the error is ENOSPC in English, without a number of Windows.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from .drive import Drive


def must_fit(drive: Drive, descriptor: int, count: int) -> None:
    """Raise OSError when so many bytes more do not fit into that file."""
    found = os.fstat(descriptor) if drive.full else None
    if found is None or not stat.S_ISREG(found.st_mode):
        return
    if os.lseek(descriptor, 0, os.SEEK_CUR) + count > found.st_size:
        raise OSError(errno.ENOSPC, "No space left on device")


class _Raw(io.FileIO):
    def __init__(self, drive: Drive, descriptor: int, mode: str) -> None:
        super().__init__(descriptor, mode)
        self.drive = drive

    def write(self, data: ReadableBuffer, /) -> int:
        must_fit(self.drive, self.fileno(), memoryview(data).nbytes)
        return super().write(data) or 0


def opened(drive: Drive, descriptor: int, mode: str = "r", buffering: int = -1, *text: Any, **named: Any) -> Any:
    """What `open` gives for that descriptor; the rest is for text: encoding, errors, newline."""
    raw = _Raw(drive, descriptor, mode.replace("b", "").replace("t", ""))
    if buffering == 0:
        return raw
    buffer: Any
    if "+" in mode:
        buffer = io.BufferedRandom(raw)
    elif "r" in mode:
        buffer = io.BufferedReader(raw)
    else:
        buffer = io.BufferedWriter(raw)
    return buffer if "b" in mode else io.TextIOWrapper(buffer, *text, **named)
