"""New files that nobody else can open, not for a moment: each is born in a folder of its own, closed before.

What a folder hands down counts for whoever opens the new file at once, and a handle stays good whatever is set later.
"""

from __future__ import annotations

import contextlib
import os

from ..errors import Refused
from ..fresh import fresh
from ..patience import clear_away, discard, patiently
from . import acl, ntfs, ownership, sddl, win32

CLOSED = {acl.SYSTEM: sddl.FULL, acl.ADMINISTRATORS: sddl.FULL}
NONE = ".new-none"
OWNER_RIGHTS = "S-1-3-4"  # whoever owns it: so Python makes it, until we have closed it


def born(directory: str, prefix: str) -> tuple[int, str]:
    """See `System.born_private`. The folder is closed by its making, if Python can (3.12.4), else while it is empty."""
    _clear_left(directory, prefix)
    nest = os.path.join(directory, prefix + os.urandom(8).hex())
    os.mkdir(nest, 0o700)
    path = os.path.join(nest, NONE)
    try:
        ntfs.secure(nest, acl.descriptor(CLOSED, directory=True))
        descriptor, path = fresh(nest)
        try:
            ntfs.secure(path, acl.descriptor(CLOSED, directory=False))
        except (OSError, Refused):
            os.close(descriptor)
            raise
    except (OSError, Refused):
        clear(path)
        raise
    return descriptor, path


def clear(path: str) -> None:
    """Take away what is left of that file and its nest, if that can be done."""
    clear_away(path)
    with contextlib.suppress(OSError):
        patiently(lambda: os.rmdir(os.path.dirname(path)))


def _clear_left(directory: str, prefix: str) -> None:
    """What a killed agent left. A folder that somebody else could have made is none of ours: it stays, unopened."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        if not name.startswith(prefix):
            continue
        if not os.path.isdir(path):
            discard(path)
        elif _is_ours(path):
            for each in os.listdir(path):
                discard(os.path.join(path, each))
            clear(os.path.join(path, NONE))


def _is_ours(nest: str) -> bool:
    """Whether nobody else can have put anything in it, or put another in its place by now."""
    with win32.opened(nest, ntfs.LOOK) as handle:
        link, text = ntfs.is_link(handle), ntfs.security(handle)
    try:
        found = sddl.parse(text)
    except ValueError:
        return False
    if link or not found.protected or {ace.sid for ace in found.aces if ace.allow} - {*CLOSED, OWNER_RIGHTS}:
        return False
    return found.owner in acl.TRUSTED or found.owner == ownership.this_user()
