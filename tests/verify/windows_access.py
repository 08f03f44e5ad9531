"""Access lists in SDDL, in which accounts are SIDs or two letters, whatever language the machine speaks. Pure."""

from __future__ import annotations

import functools
import ntpath
import operator
import re
from typing import NamedTuple

NAMES = {
    "SY": "S-1-5-18",
    "BA": "S-1-5-32-544",
    "BU": "S-1-5-32-545",
    "BG": "S-1-5-32-546",
    "PU": "S-1-5-32-547",
    "AU": "S-1-5-11",
    "WD": "S-1-1-0",
    "LS": "S-1-5-19",
    "NS": "S-1-5-20",
    "CO": "S-1-3-0",
    "OW": "S-1-3-4",
    "IU": "S-1-5-4",
    "NU": "S-1-5-2",
    "AN": "S-1-5-7",
    "AC": "S-1-15-2-1",
}
KNOWN = {
    "S-1-5-18": "SYSTEM",
    "S-1-5-19": "LOCAL SERVICE",
    "S-1-5-20": "NETWORK SERVICE",
    "S-1-5-32-544": "administrators",
    "S-1-5-32-545": "users",
    "S-1-5-11": "authenticated users",
    "S-1-5-114": "local administrators",
    "S-1-1-0": "everyone",
    "S-1-3-0": "whoever creates",
}
TRUSTED = {"S-1-5-18", "S-1-5-32-544", "S-1-5-114"}
RIGHTS = {0x1F01FF: "everything", 0x1301BF: "changes", 0x13019F: "changes", 0x1200A9: "runs", 0x120089: "reads"}
LETTERS = {
    # of files
    "FA": 0x1F01FF,
    "FR": 0x120089,
    "FW": 0x120116,
    "FX": 0x1200A0,
    # of whatever has a list
    "SD": 0x10000,
    "RC": 0x20000,
    "WD": 0x40000,
    "WO": 0x80000,
    "GA": 0x1F01FF,
    "GR": 0x120089,
    "GW": 0x120116,
    "GX": 0x1200A0,
    # single bits, by the names that they have in a directory service
    "CC": 1,
    "DC": 2,
    "LC": 4,
    "SW": 8,
    "RP": 16,
    "WP": 32,
    "DT": 64,
    "LO": 128,
    "CR": 256,
}
GENERIC = {0x10000000: 0x1F01FF, 0x80000000: 0x120089, 0x40000000: 0x120116, 0x20000000: 0x1200A0}
READS = 1
CHANGES = 0x2 | 0x4 | 0x10 | 0x40 | 0x100 | 0x10000 | 0x40000 | 0x80000  # put in, mark, delete, give away
INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"


class Entry(NamedTuple):
    """One entry of an access list. `flags` such as {"OI", "CI", "ID"}."""

    allows: bool
    flags: frozenset[str]
    mask: int
    sid: str


def entries(sddl: str) -> list[Entry]:
    """The entries of the access list in `D:...(A;OICI;FA;;;SY)...`."""
    found = []
    for text in re.findall(r"\(([^)]*)\)", sddl.partition("D:")[2].partition("S:")[0]):
        kind, flags, rights, _, _, who = text.split(";")[:6]
        number = _mask(rights)
        for bit, whole in GENERIC.items():
            number = number & ~bit | whole if number & bit else number
        found.append(Entry(kind.startswith("A"), frozenset(re.findall("..", flags)), number, NAMES.get(who, who)))
    return found


def _mask(rights: str) -> int:
    """Of a hex number, or of letters in pairs."""
    if rights.startswith("0x"):
        return int(rights, 16)
    return functools.reduce(operator.or_, (LETTERS[each] for each in re.findall("..", rights)), 0)


def access(sddl: str, directory: bool) -> str:
    """An access list in this suite's words, sorted: `SYSTEM everything, administrators everything, users read`.

    Said beside an entry: what differs from an own list that a directory hands down whole.
    """
    if not re.search(r"D:", sddl):
        return "everybody everything (no list)"
    usual = frozenset({"OI", "CI"}) if directory else frozenset()
    words = []
    for each in entries(sddl):
        verb = RIGHTS.get(each.mask, hex(each.mask))
        flags = "" if each.flags == usual else f" ({' '.join(sorted(each.flags)) or 'not below'})"
        words.append(f"{'' if each.allows else 'never '}{_name(each.sid)} {verb}{flags}")
    control = re.search(r"D:([A-Z]*)", sddl)
    cut = "" if control and "P" in control[1] else "; not cut off from the folder above"
    return ", ".join(sorted(words)) + cut


def _name(sid: str) -> str:
    """The data knows people by names, the lists by SIDs that the machine made up: who it is, is not told."""
    return "a person" if sid.startswith("S-1-5-21-") else KNOWN.get(sid, sid)


def others_read(sddl: str) -> bool:
    """Whether somebody besides administrators and SYSTEM may read it."""
    if not re.search(r"D:", sddl):
        return True
    return any(
        each.allows and each.mask & READS and each.sid not in TRUSTED and "IO" not in each.flags
        for each in entries(sddl)
    )


def changers(sddl: str) -> list[str]:
    """Who besides administrators, SYSTEM and Windows' installer may change it, or something that it hands down to."""
    if not re.search(r"D:", sddl):
        return ["everybody"]
    sids = {each.sid for each in entries(sddl) if each.allows and each.mask & CHANGES}
    return sorted(_name(each) for each in sids - TRUSTED - {INSTALLER})


def access_lists(saved: str, above: str) -> dict[str, str]:
    """{path: SDDL} of what `icacls X /save` wrote: a name below `above`, then its list, in turn."""
    found = {}
    texts = [each for each in saved.lstrip("\ufeff").splitlines() if each.strip()]
    for name, sddl in zip(texts[0::2], texts[1::2], strict=False):
        found[ntpath.join(above, name)] = sddl
    return found
