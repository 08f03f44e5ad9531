"""Owner and mode of files on POSIX systems, in the words of `System.grant`; set by a handle that follows no link."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from typing import Any, Callable, Iterator, Optional

from ..errors import Refused
from ..system import State

OTHERS_WRITE = 0o022
ITSELF = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def access_of(path: str) -> str:
    found = os.lstat(path)
    owner, group = _name(pwd.getpwuid, found.st_uid), _name(grp.getgrgid, found.st_gid)
    mode = stat.S_IMODE(found.st_mode)
    raw = f"{owner}:{group} {mode:04o}"
    directory = stat.S_ISDIR(found.st_mode)
    private = [] if owner.isdigit() else [f"only {owner}"]  # a number is nobody that this machine knows
    for words in ("administrators", "everyone", *private):
        for access in (words,) if directory else (words, f"{words} +x"):
            if _raw(access, directory) == raw:
                return access
    return raw


def grant(path: str, access: str) -> None:
    raw = _raw(access, os.path.isdir(path)) or access
    names, _, mode = raw.rpartition(" ")
    owner, _, group = names.partition(":")
    try:
        numbers = _number(pwd.getpwnam, owner), _number(grp.getgrnam, group), int(mode, 8)
    except (KeyError, ValueError):
        fix = "use administrators, everyone or only <user>, and a user that this machine has"
        raise Refused(f"set the access of {path}", f"{access!r} means nothing here", fix) from None
    with held(path) as named:
        os.chown(named, *numbers[:2])
        os.chmod(named, numbers[2])


def look_over(path: str, mend: bool) -> State:
    """See `System.look_over`."""
    descriptor = os.open(path, ITSELF)
    try:
        found = os.fstat(descriptor)
        trusted, link = found.st_uid in (0, os.geteuid()), stat.S_ISLNK(found.st_mode)
        known = trusted or str(found.st_uid) == os.environ.get("SUDO_UID")
        wide = not trusted or (not link and bool(found.st_mode & OTHERS_WRITE))
        if mend and wide and known and not link:
            os.chown(_named(descriptor), os.geteuid(), -1)
            os.chmod(_named(descriptor), stat.S_IMODE(found.st_mode) & ~OTHERS_WRITE)
    finally:
        os.close(descriptor)
    return {"link": link and not trusted, "owner": "" if known else _name(pwd.getpwuid, found.st_uid), "wide": wide}


@contextlib.contextmanager
def held(path: str) -> Iterator[str]:
    """A name for the very file or directory, whatever happens to its own. A link is followed to a directory only, and
    only one that is ours: /opt/litellm may lead to another disk."""
    descriptor = os.open(path, ITSELF)
    try:
        found = os.fstat(descriptor)
        if stat.S_ISLNK(found.st_mode):
            if found.st_uid not in (0, os.geteuid()) or not os.path.isdir(path):
                fix = "remove that link, or name the place that it leads to in group_data"
                raise Refused(f"set the access of {path}", "it is a link to another place", fix)
            target = os.path.join(os.path.dirname(path), os.readlink("", dir_fd=descriptor))
            with held(target) as named:
                yield named
        else:
            yield _named(descriptor)
    finally:
        os.close(descriptor)


def _named(descriptor: int) -> str:
    """What ITSELF opens has no other name that stays."""
    return f"/proc/self/fd/{descriptor}"


def _name(lookup: Callable[[int], Any], number: int) -> str:
    try:
        return str(lookup(number)[0])
    except KeyError:
        return str(number)


def _number(lookup: Callable[[str], Any], name: str) -> int:
    """A user's or group's number; digits stand for themselves."""
    return int(name) if name.isdigit() else int(lookup(name)[2])


def _raw(access: str, directory: bool) -> Optional[str]:
    """`owner:group mode` of an access in words, or None when it is none."""
    words, _, program = access.partition(" +x")
    runs = directory or access.endswith("+x")
    if program or (words not in ("administrators", "everyone") and not words.startswith("only ")):
        return None
    if words == "everyone":
        return f"root:root {'0755' if runs else '0644'}"
    mode = "0700" if runs else "0600"
    user = "root" if words == "administrators" else words[len("only ") :]
    try:
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
    except KeyError:
        fix = "create that user, or correct its name in group_data"
        raise Refused(f"give a file to {user}", "this machine has no user of that name", fix) from None
    return f"{user}:{group} {mode}"
