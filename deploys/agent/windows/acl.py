"""The words of `System.grant` as Windows' access lists, by SID: names differ by language, SIDs do not.

    administrators      Administrators and SYSTEM, nobody else
    everyone            those, and every user reads
    only <account>      those, and that account reads and writes
    read by <account>   those, and that account reads (a file; Docker Desktop opens files as its user, unelevated)
    ... +x              for a program: readers may also run it

A list of ours is always cut off from what the folder above hands down: below C:\\ and ProgramData that is write access
for every user. Administrators own what we make, whoever made it.
"""

from __future__ import annotations

from typing import Callable, Optional

from ..errors import Refused
from .sddl import FULL, MODIFY, READ, READ_AND_RUN, RUN, WRITE, Ace, Descriptor, merged, render, without_inherited

SYSTEM, ADMINISTRATORS, USERS = "S-1-5-18", "S-1-5-32-544", "S-1-5-32-545"
TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
TRUSTED = frozenset({SYSTEM, ADMINISTRATORS, TRUSTED_INSTALLER})
OWNERS = frozenset({"S-1-3-0", "S-1-3-4"})  # whoever makes or owns it: owners are looked at by themselves
LOCAL_ADMINISTRATORS = "S-1-5-114"  # "local account and member of Administrators": part of Administrators anyway
READ_BY = "read by "
DOWN = frozenset({"OI", "CI"})

SidOf = Callable[[str], str]


def wanted(access: str, directory: bool, sid_of: SidOf) -> Optional[Descriptor]:
    """The descriptor that an access in words asks for; None when it is none of the words."""
    words, plus, rest = access.partition(" +x")
    if rest or (directory and plus):
        return None
    reads = READ_AND_RUN if plus or directory else READ
    if words == "administrators":
        # a mark that changes nothing: who may do everything may run it too, and Windows has no other place for the word
        more = {LOCAL_ADMINISTRATORS: READ_AND_RUN} if plus else {}
    elif words == "everyone":
        more = {USERS: reads}
    elif words.startswith(READ_BY) and not directory:
        more = {_account(words[len(READ_BY) :], sid_of): reads}
    elif words.startswith("only "):
        account = words[len("only ") :]
        more = {_account(account, sid_of): MODIFY if plus or directory else MODIFY & ~RUN}
    else:
        return None
    return descriptor({SYSTEM: FULL, ADMINISTRATORS: FULL, **more}, directory)


def descriptor(masks: dict[str, int], directory: bool) -> Descriptor:
    """Owned by administrators, protected, with these rights; on a directory for all that it will hold too."""
    flags = DOWN if directory else frozenset()
    return Descriptor(ADMINISTRATORS, True, frozenset(Ace(True, flags, mask, sid) for sid, mask in masks.items()))


def lets_others_write(found: Descriptor, also: str) -> bool:
    """Whether anybody but administrators, and the account `also`, may change it or what will be made in it."""
    return any(ace.allow and ace.mask & WRITE and not _may(ace.sid, also) for ace in found.aces)


def _may(sid: str, also: str) -> bool:
    return sid in TRUSTED | OWNERS | {LOCAL_ADMINISTRATORS, also}


def narrowed(found: Descriptor, also: str, top: bool, directory: bool) -> Descriptor:
    """The same, owned by administrators, and without those rights. What is not cut off from above inherits from there.

    `top`: nothing comes from above any more: that is not ours. Nobody may read what was closed to them.
    """
    cut_off = top or found.protected
    masks = {SYSTEM: FULL, ADMINISTRATORS: FULL} if cut_off else {}
    flags = DOWN if directory else frozenset()
    aces = {Ace(True, flags, mask, sid) for sid, mask in masks.items()}
    for ace in (found if cut_off else without_inherited(found)).aces:
        mask = ace.mask if not ace.allow or _may(ace.sid, also) else ace.mask & ~WRITE
        if mask and ace.sid not in masks:
            aces.add(ace._replace(mask=mask, flags=ace.flags - {"ID"}))
    return Descriptor(ADMINISTRATORS, cut_off, merged(aces))


def spelling(access: str, sid_of: SidOf, name_of: SidOf) -> None:
    """Refuse another spelling of an account than Windows': what is read back would differ for ever."""
    start = next((each for each in ("only ", READ_BY) if access.startswith(each)), None)
    if start:
        name = access[len(start) :].partition(" +x")[0]
        right = name_of(_account(name, sid_of))
        if right != name:
            raise Refused(f"give a file to {name}", f"Windows calls that user {right}", "write it so in group_data")


def _account(name: str, sid_of: SidOf) -> str:
    try:
        return sid_of(name)
    except OSError:
        fix = "create that user, or correct its name in group_data"
        raise Refused(f"give a file to {name}", "this machine has no user of that name", fix) from None


def words(found: Descriptor, directory: bool, name_of: SidOf) -> str:
    """The words for what is there; what no word says, as SDDL."""
    known: dict[str, str] = {}
    others = [ace.sid for ace in found.aces if ace.sid not in (SYSTEM, ADMINISTRATORS, USERS, LOCAL_ADMINISTRATORS)]
    if len(others) == 1:
        try:
            known[name_of(others[0])] = others[0]
        except OSError:  # an account that is gone
            return render(found)
    accounts = [start + name for name in known for start in ("only ", READ_BY)]
    for each in ("administrators", "everyone", *accounts):
        for access in (each,) if directory else (each, f"{each} +x"):
            if wanted(access, directory, known.__getitem__) == found:
                return access
    return render(found)
