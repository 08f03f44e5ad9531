"""What NTFS does with names and access lists: set and read back, replaced in one step, tried again while in use."""

from __future__ import annotations

import os
import stat

from . import sddl, win32
from .errors import Refused
from .patience import patiently

JUNCTION = 0xA0000003


def secure(path: str, wanted: sddl.Descriptor) -> None:
    """Set owner and access list, and read them back. Not through a link: every user may make one that leads away."""
    there = os.lstat(path)
    if stat.S_ISLNK(there.st_mode) or getattr(there, "st_reparse_tag", 0) == JUNCTION:
        fix = "remove that link, or name the place that it leads to in group_data"
        raise Refused(f"set the access of {path}", "it is a link to another place", fix)
    win32.set_security(path, sddl.render(wanted))
    found = sddl.parse(win32.security(path))
    if found._replace(protected=True) != wanted._replace(protected=True):
        raise Refused(f"set the access of {path}", f"Windows keeps {sddl.render(found)}", "look at its owner")


def replace(temporary: str, path: str) -> None:
    """One rename. Tried again for some seconds while somebody has one of the two open."""
    if os.path.isfile(path) and not os.stat(path).st_mode & stat.S_IWRITE:
        os.chmod(path, stat.S_IWRITE)  # marked read-only by hand
    patiently(lambda: os.replace(temporary, path), give_up=os.path.isdir(path))
