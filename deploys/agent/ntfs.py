"""What NTFS does with names and access lists: set and read back, replaced in one step, tried again while in use."""

from __future__ import annotations

import os
import stat
import time
from typing import Any, Callable

from . import sddl, win32
from .errors import Refused

IN_USE = {5, 32}  # the target, or the source, is open: antivirus, an editor, a reader
RETRY_S = 5.0


def secure(path: str, wanted: sddl.Descriptor) -> None:
    """Set owner and access list, and read them back."""
    win32.set_security(path, sddl.render(wanted))
    found = sddl.parse(win32.security(path))
    if found._replace(protected=True) != wanted._replace(protected=True):
        raise Refused(f"set the access of {path}", f"Windows keeps {sddl.render(found)}", "look at its owner")


def replace(temporary: str, path: str) -> None:
    """One rename. Tried again for some seconds while somebody has one of the two open."""
    if os.path.isfile(path) and not os.stat(path).st_mode & stat.S_IWRITE:
        os.chmod(path, stat.S_IWRITE)  # marked read-only by hand
    patiently(lambda: os.replace(temporary, path), give_up=os.path.isdir(path))


def patiently(change: Callable[[], Any], give_up: bool = False) -> None:
    """Do it, again and again while it is refused because something is open: 10 ms, doubling, 5 s in all."""
    end, pause = time.monotonic() + RETRY_S, 0.01
    while True:
        try:
            change()
            return
        except OSError as error:
            if give_up or getattr(error, "winerror", None) not in IN_USE or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(pause * 2, 0.5)
