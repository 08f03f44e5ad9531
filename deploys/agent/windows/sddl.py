"""Owner and access list of a file or directory: parsed from SDDL, compared by meaning, never as text.

Windows changes the text at will (order, `P` or `PAI`, `FA` or a number, two letters or a SID); the meaning stays.
"""

from __future__ import annotations

import re
from typing import Callable, Iterable, NamedTuple

ALIASES = {
    "SY": "S-1-5-18",
    "LS": "S-1-5-19",
    "NS": "S-1-5-20",
    "BA": "S-1-5-32-544",
    "BU": "S-1-5-32-545",
    "AU": "S-1-5-11",
    "IU": "S-1-5-4",
    "WD": "S-1-1-0",
    "CO": "S-1-3-0",
    "CG": "S-1-3-1",
    "OW": "S-1-3-4",
    "AC": "S-1-15-2-1",
}
RIGHTS = {
    "GA": 0x1F01FF,  # generic rights as files understand them
    "GR": 0x120089,
    "GW": 0x120116,
    "GX": 0x1200A0,
    "FA": 0x1F01FF,
    "FR": 0x120089,
    "FW": 0x120116,
    "FX": 0x1200A0,
    "SD": 0x10000,
    "RC": 0x20000,
    "WD": 0x40000,
    "WO": 0x80000,
    "CC": 0x1,
    "DC": 0x2,
    "LC": 0x4,
    "SW": 0x8,
    "RP": 0x10,
    "WP": 0x20,
    "DT": 0x40,
    "LO": 0x80,
    "CR": 0x100,
}
FULL, MODIFY, READ_AND_RUN, READ = 0x1F01FF, 0x1301BF, 0x1200A9, 0x120089
RUN = 0x20
WRITE = 0x1F01FF & ~READ_AND_RUN  # content, names, attributes, the list itself: whatever changes something


class Ace(NamedTuple):
    """One entry: `flags` such as {"OI", "CI"}, `sid` always in figures."""

    allow: bool
    flags: frozenset[str]
    mask: int
    sid: str


class Descriptor(NamedTuple):
    """Equal when Windows treats them alike. `protected`: nothing comes from above."""

    owner: str
    protected: bool
    aces: frozenset[Ace]


def parse(text: str) -> Descriptor:
    """The meaning of an SDDL text with owner and DACL. Raises ValueError for anything else."""
    found = re.fullmatch(r"(?:O:(S-[\d-]+|[A-Z]{2}))?(?:G:(?:S-[\d-]+|[A-Z]{2}))?D:([A-Z]*)((?:\([^()]*\))*)", text)
    if not found:
        raise ValueError(f"no owner and access list: {text}")
    owner, control, entries = found.groups()
    return Descriptor(_sid(owner or ""), "P" in control, merged(map(_ace, re.findall(r"\(([^()]*)\)", entries))))


def spelled_out(text: str, sid_of: Callable[[str], str]) -> str:
    """The same SDDL with figures for letters that mean another SID on each machine: LA is its own Administrator."""

    def figures(found: re.Match[str]) -> str:
        return found[0] if found[0] in ALIASES else sid_of(found[0])

    return re.sub(r"(?:(?<=O:)|(?<=;))[A-Z]{2}(?=[DG]:|\))", figures, text)


def without_inherited(found: Descriptor) -> Descriptor:
    """What is its own: the rest comes from above."""
    return found._replace(aces=frozenset(ace for ace in found.aces if "ID" not in ace.flags))


def _ace(text: str) -> Ace:
    fields = text.split(";")
    if len(fields) < 6 or fields[0] not in ("A", "D"):
        raise ValueError(f"an entry of another kind: {text}")
    kind, flags, rights, _, _, sid = fields[:6]
    if re.fullmatch(r"0x[0-9a-fA-F]+|\d+", rights):
        mask = _specific(int(rights, 0))
    else:
        mask = 0
        for each in re.findall("..", rights):
            if each not in RIGHTS:
                raise ValueError(f"a right that files do not have: {text}")
            mask |= RIGHTS[each]
    return Ace(kind == "A", frozenset(re.findall("..", flags)), mask, _sid(sid))


def _specific(mask: int) -> int:
    """Generic bits spelled out."""
    for bit, right in ((0x10000000, "GA"), (0x80000000, "GR"), (0x40000000, "GW"), (0x20000000, "GX")):
        if mask & bit:
            mask = mask & ~bit | RIGHTS[right]
    return mask


def merged(aces: Iterable[Ace]) -> frozenset[Ace]:
    """Entries for the same one with the same flags are one."""
    masks: dict[tuple[bool, frozenset[str], str], int] = {}
    for ace in aces:
        key = (ace.allow, ace.flags, ace.sid)
        masks[key] = masks.get(key, 0) | ace.mask
    return frozenset(Ace(allow, flags, mask, sid) for (allow, flags, sid), mask in masks.items())


def render(descriptor: Descriptor) -> str:
    """SDDL for Windows: deny first, always in the same order."""
    entries = []
    for ace in sorted(descriptor.aces, key=lambda ace: (ace.allow, ace.sid, sorted(ace.flags), ace.mask)):
        flags = "".join(each for each in ("OI", "CI", "NP", "IO", "ID") if each in ace.flags)
        entries.append(f"({'A' if ace.allow else 'D'};{flags};0x{ace.mask:x};;;{ace.sid})")
    owner = f"O:{descriptor.owner}" if descriptor.owner else ""
    return f"{owner}D:{'P' if descriptor.protected else ''}{''.join(entries)}"


def _sid(text: str) -> str:
    return ALIASES.get(text, text)
