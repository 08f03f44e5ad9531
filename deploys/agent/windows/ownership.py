"""Who could have written what is in a folder that we take over on Windows, and how nobody else does from then on."""

from __future__ import annotations

import functools
import os
import re

from ..errors import Refused
from ..system import State
from . import acl, ntfs, sddl, win32


def look_over(path: str, account: str, top: bool, mend: bool) -> State:
    """See `System.look_over`. `account`: a SID."""
    directory = os.path.isdir(path)
    with win32.opened(path, ntfs.LOOK) as handle:
        link, text = ntfs.is_link(handle), ntfs.security(handle)
    try:
        found = sddl.parse(text)
    except ValueError:  # entries of a kind that no folder of ours has: whoever made them is not known
        return {"link": link, "owner": "somebody whose access list cannot be read", "wide": True}
    wide = acl.lets_others_write(found, account) or not _trusted(found.owner, account)
    known = _trusted(found.owner, account) or found.owner == this_user()
    if wide and known and mend and not link:
        ntfs.secure(path, lambda now: _narrowed(path, now, account, top, directory))
        if acl.lets_others_write(sddl.parse(ntfs.access(path)), account):  # what it inherits was none of ours to set
            raise Refused(f"take over {path}", "Windows lets others change it still", "see its access list there")
    return {"link": link, "owner": "" if known else _name(found.owner), "wide": wide}


def _trusted(owner: str, account: str) -> bool:
    return owner in acl.TRUSTED or owner == account != ""


def _narrowed(path: str, now: sddl.Descriptor, account: str, top: bool, directory: bool) -> sddl.Descriptor:
    """Decided by what the very object has whose access is set: another may have its name by now."""
    if not (_trusted(now.owner, account) or now.owner == this_user()):
        raise Refused(f"take over {path}", f"it was just given to {_name(now.owner)}", "see who that is")
    return acl.narrowed(now, account, top, directory)


@functools.lru_cache(maxsize=None)
def this_user() -> str:
    """The SID of the one as whom this process runs: the desk comes so, and may own what it made before us."""
    code, out, _ = win32.run("whoami.exe", ["/user", "/fo", "csv", "/nh"])
    found = re.search(r"S-1-[\d-]+", win32.text(out))
    if code or not found:
        raise Refused("see who this is", f"whoami says {code}", "see that machine's System32")
    return found[0]


def _name(sid: str) -> str:
    try:
        return str(win32.name_of(sid))
    except OSError:  # an account that is gone, or another machine's
        return sid
