"""What NTFS does with names and access lists: set and read back, replaced in one step, tried again while in use.

Whatever is looked at before it is changed is held by one handle meanwhile, which follows no link: every user may make
one that leads away, and put it in a folder's place between two looks.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
from typing import IO, Any, Callable, Iterator, Union

from .. import patience
from ..errors import Refused
from . import accounts, sddl, win32

LOOK = 0x120080  # READ_CONTROL, SYNCHRONIZE, its attributes
DELETE = 0x10000
SET = LOOK | 0xC0000  # WRITE_DAC, WRITE_OWNER
SET_FOLDER = SET | 0x21  # listed and walked through: what it hands down reaches what is in it
LEADS_AWAY = 0x20000000  # in the tag of a symbolic link and of a junction; not in that of a file kept elsewhere

Decide = Callable[[sddl.Descriptor], sddl.Descriptor]


def access(path: str) -> str:
    """Owner and access list as SDDL: of a link its own."""
    with win32.opened(path, LOOK) as handle:
        return security(handle)


def security(handle: Any) -> str:
    """Owner and access list of what is open as SDDL, the same on every machine."""
    return sddl.spelled_out(win32.security(handle), _sid_of_letters)


@functools.lru_cache(maxsize=None)
def _sid_of_letters(letters: str) -> str:
    try:
        return accounts.sid_of(win32.name_of(letters))
    except OSError:  # nobody there is meant
        return letters


def is_link(handle: Any) -> bool:
    return bool(win32.told(handle)[0] & LEADS_AWAY)


def secure(path: str, wanted: Union[sddl.Descriptor, Decide]) -> None:
    """Set owner and access list, and read them back; `wanted` may be decided by what is there. Not through a link.

    One that is not protected keeps what comes from above, which is no part of `wanted`.
    """
    with win32.opened(path, SET_FOLDER if os.path.isdir(path) else SET) as handle:
        if is_link(handle):
            fix = "remove that link, or name the place that it leads to in group_data"
            raise Refused(f"set the access of {path}", "it is a link to another place", fix)
        if callable(wanted):
            wanted = wanted(sddl.parse(security(handle)))
        win32.set_security(handle, sddl.render(wanted), not wanted.protected)
        found = sddl.parse(security(handle))
    own = found if wanted.protected else sddl.without_inherited(found)
    if own._replace(protected=True) != wanted._replace(protected=True):
        raise Refused(f"set the access of {path}", f"Windows keeps {sddl.render(found)}", "look at its owner")


def replace(temporary: str, path: str) -> None:
    """One rename. Tried again for some seconds while somebody has one of the two open; a folder's, for a minute."""
    if os.path.isfile(path) and not os.stat(path).st_mode & stat.S_IWRITE:
        os.chmod(path, stat.S_IWRITE)  # marked read-only by hand
    for_s = patience.UNPACKED_S if os.path.isdir(temporary) else None
    patience.patiently(lambda: os.replace(temporary, path), give_up=os.path.isdir(path), for_s=for_s)
    if os.path.dirname(temporary) != os.path.dirname(path) and not sddl.parse(access(path)).protected:
        secure(path, sddl.without_inherited)  # a move hands nothing down: it has what its nest did


# -- below a folder of ours, where an account of less trust writes
@contextlib.contextmanager
def opened_below(folder: str, *names: str) -> Iterator[IO[bytes]]:
    """The file of that name, to read. Raises Refused when a link leads to another."""
    with open(os.path.join(folder, *names), "rb") as file:
        _must_lie_there(file, folder, names)
        yield file


def discard_below(folder: str, *names: str) -> None:
    """Delete that file, if it is there; a link in its place goes itself. Raises Refused when a link leads to it."""

    def delete() -> None:
        with win32.opened(os.path.join(folder, *names), LOOK | DELETE) as handle:
            _must_lie_there(handle, folder, names)
            win32.delete(handle)

    with contextlib.suppress(FileNotFoundError):
        patience.patiently(delete)


def _must_lie_there(opened: Any, folder: str, names: tuple[str, ...]) -> None:
    with win32.opened(folder, LOOK) as top:
        wanted = os.path.join(win32.told(top)[1], *names)
    if win32.told(opened)[1].lower() != wanted.lower():
        path = os.path.join(folder, *names)
        raise Refused(f"use {path}", "a link there leads to another place", f"see who made it in {folder}")
