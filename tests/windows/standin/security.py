"""Descriptors as NTFS keeps them: inherited, mapped, merged and ordered (recorded: see each rule's test)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

SYSTEM, ADMINISTRATORS, USERS = "S-1-5-18", "S-1-5-32-544", "S-1-5-32-545"
CREATOR_OWNER, AUTHENTICATED, EVERYONE, LOCAL_SERVICE = "S-1-3-0", "S-1-5-11", "S-1-1-0", "S-1-5-19"
NETWORK_SERVICE = "S-1-5-20"
TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
MACHINE = "S-1-5-21-1004336348-1177238915-682003330"
ALIASES = {
    "SY": SYSTEM,
    "BA": ADMINISTRATORS,
    "BU": USERS,
    "CO": CREATOR_OWNER,
    "AU": AUTHENTICATED,
    "WD": EVERYONE,
    "LS": LOCAL_SERVICE,
    "OW": "S-1-3-4",
    "NS": NETWORK_SERVICE,
    "AC": "S-1-15-2-1",
    "LA": f"{MACHINE}-500",  # the machine's own, whatever they are called
    "LG": f"{MACHINE}-501",
}
BITS = {
    "FA": 0x1F01FF,
    "FR": 0x120089,
    "FW": 0x120116,
    "FX": 0x1200A0,
    "GA": 0x10000000,
    "GX": 0x20000000,
    "GW": 0x40000000,
    "GR": 0x80000000,
    "SD": 0x10000,
    "RC": 0x20000,
    "WD": 0x40000,
    "WO": 0x80000,
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
READ, WRITE, DELETE, WRITE_DAC, DELETE_CHILD, ADD_FILE, ADD_FOLDER = 1, 2, 0x10000, 0x40000, 0x40, 2, 4


@dataclass(frozen=True)
class Ace:
    allow: bool
    flags: frozenset[str]
    mask: int
    sid: str

    @property
    def mapped(self) -> int:
        """The mask with generic rights spelled out for files."""
        mask = self.mask & 0x0FFFFFFF
        for generic, whole in (("GA", "FA"), ("GR", "FR"), ("GW", "FW"), ("GX", "FX")):
            if self.mask & BITS[generic]:
                mask |= BITS[whole]
        return mask


@dataclass(frozen=True)
class Descriptor:
    owner: str
    aces: tuple[Ace, ...] = field(default=())
    protected: bool = False


def parse(sddl: str) -> Descriptor:
    owner = re.search(r"O:(S-[\d-]+|[A-Z]{2})", sddl)
    dacl = re.search(r"D:([A-Z]*)((?:\([^)]*\))*)", sddl)
    if dacl is None:
        raise ValueError(sddl)
    aces = []
    for text in re.findall(r"\(([^)]*)\)", dacl[2]):
        kind, flags, rights, _, _, sid = text.split(";")
        bits = int(rights, 16) if rights.startswith("0x") else sum(BITS[each] for each in re.findall("..", rights))
        aces.append(Ace(kind == "A", frozenset(re.findall("..", flags)), bits, ALIASES.get(sid, sid)))
    return Descriptor(ALIASES.get(owner[1], owner[1]) if owner else "", tuple(aces), "P" in dacl[1])


def render(descriptor: Descriptor, control: str) -> str:
    names = {sid: alias for alias, sid in ALIASES.items()}
    shown = f"O:{names.get(descriptor.owner, descriptor.owner)}D:{control}"
    for ace in descriptor.aces:
        flags = "".join(each for each in ("OI", "CI", "NP", "IO", "ID") if each in ace.flags)
        if ace.mask & 0xF0000000:
            rights = "".join(each for each in ("SD", "GX", "GW", "GR", "GA") if ace.mask & BITS[each])
        else:
            rights = "FA" if ace.mask == BITS["FA"] else f"0x{ace.mask:x}"
        shown += f"({'A' if ace.allow else 'D'};{flags};{rights};;;{names.get(ace.sid, ace.sid)})"
    return shown


# what the token of SYSTEM or of an elevated administrator gives to what has no other list
TOKENS_OWN = tuple(Ace(True, frozenset(), BITS["FA"], sid) for sid in (ADMINISTRATORS, SYSTEM))


def inherited(parent: Descriptor, directory: bool, owner: str) -> tuple[Ace, ...]:
    """What a new child gets: generic rights and CREATOR OWNER split in two on a directory, mapped on a file."""
    found: list[Ace] = []
    for ace in parent.aces:
        passes = "CI" in ace.flags if directory else "OI" in ace.flags
        onward = ace.flags & {"OI", "CI"}
        if directory and not passes and "OI" in ace.flags and "NP" not in ace.flags:
            found.append(replace(ace, flags=onward | {"IO", "ID"}))
        if not passes:
            continue
        sid = owner if ace.sid == CREATOR_OWNER else ace.sid
        special = ace.sid == CREATOR_OWNER or bool(ace.mask & 0xF0000000)
        if not directory or "NP" in ace.flags:
            found.append(Ace(ace.allow, frozenset({"ID"}), ace.mapped, sid))
        elif special:
            found.append(Ace(ace.allow, frozenset({"ID"}), ace.mapped, sid))
            found.append(replace(ace, flags=onward | {"IO", "ID"}))
        else:
            found.append(replace(ace, flags=onward | {"ID"}))
    return tuple(_merged(found))


def normalised(descriptor: Descriptor) -> Descriptor:
    """As it is kept: generic rights mapped where they count, equal entries merged, in canonical order."""
    mapped = [replace(ace, mask=ace.mapped) if "IO" not in ace.flags else ace for ace in descriptor.aces]
    ordered = sorted(_merged(mapped), key=lambda ace: 2 if "ID" in ace.flags else 1 if ace.allow else 0)
    return replace(descriptor, aces=tuple(ordered))


def _merged(aces: list[Ace]) -> list[Ace]:
    kept: dict[tuple[bool, frozenset[str], str], Ace] = {}
    for ace in aces:
        key = (ace.allow, ace.flags, ace.sid)
        kept[key] = replace(ace, mask=kept[key].mask | ace.mask) if key in kept else ace
    return list(kept.values())


def allows(descriptor: Descriptor, sids: frozenset[str], wanted: int) -> bool:
    """Whether a token with these SIDs gets all of `wanted`."""
    left = wanted
    if descriptor.owner in sids:
        left &= ~(WRITE_DAC | BITS["RC"])
    for ace in descriptor.aces:
        if "IO" in ace.flags or ace.sid not in sids:
            continue
        if not ace.allow and ace.mapped & left:
            return False
        left &= ~ace.mapped if ace.allow else ~0
    return not left
