"""Patience with what is open. On Windows a reader, or antivirus, keeps others from a name for some moments.

Elsewhere no error carries a `winerror`, and everything is tried once.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from typing import Callable, Optional, TypeVar

IN_USE = {5, 32}  # the target, or the source, is open: antivirus, an editor, a reader
RETRY_S = 5.0
UNPACKED_S = 60.0  # antivirus looks through all of what was just unpacked

Made = TypeVar("Made")


def patiently(change: Callable[[], Made], give_up: bool = False, for_s: Optional[float] = None) -> Made:
    """Do it, again and again while it is refused because something is open: 10 ms, doubling, `for_s` (5 s) in all."""
    end, pause = time.monotonic() + (RETRY_S if for_s is None else for_s), 0.01
    while True:
        try:
            return change()
        except OSError as error:
            if give_up or getattr(error, "winerror", None) not in IN_USE or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.5)


def discard(path: str) -> None:
    """Remove a file, if it is there. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        patiently(lambda: _unlink(path), give_up=os.path.isdir(path))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except PermissionError:
        if os.path.isdir(path) or os.lstat(path).st_mode & stat.S_IWRITE:
            raise
        os.chmod(path, stat.S_IWRITE)  # marked read-only by hand: Windows keeps such a file
        os.unlink(path)


def clear_away(path: str) -> None:
    """Remove what is left of a try, if that can be done: how the try went matters more."""
    with contextlib.suppress(OSError):
        discard(path)
