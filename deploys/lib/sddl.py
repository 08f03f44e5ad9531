"""Access lists of Windows in SDDL, as far as the desk reads them. Windows writes rights in letters or as a number."""

from __future__ import annotations

import re

TRUSTED = {
    "SY": "SYSTEM",
    "BA": "administrators",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464": "TrustedInstaller",
}
SIDS = {"AU": "S-1-5-11", "BU": "S-1-5-32-545", "WD": "S-1-1-0", "IU": "S-1-5-4", "CO": "S-1-3-0", "PU": "S-1-5-32-547"}
READING = {"FR", "FX", "GR", "GX", "RC", "CC", "SW", "WP", "LO"}
READING_BITS = 0x1200A9 | 0xA0000000  # read and run, for files and as generic rights
ENTRY = re.compile(r"\(([A-Z]+);[A-Z]*;(\w*);[^;]*;[^;]*;([^;)]+)[^)]*\)")


def others_who_change(access: str) -> list[str]:
    """SIDs, besides administrators and the system, that a list such as `D:PAI(A;OICI;FA;;;SY)` lets do more than read.

    What it hands down counts too. A list without entries, which may be none at all, is everybody's.
    """
    entries = ENTRY.findall(access)
    found = [who for kind, rights, who in entries if kind[0] != "D" and who not in TRUSTED and not _only_reads(rights)]
    return sorted({SIDS.get(who, who) for who in found}) if entries else [SIDS["WD"]]


def _only_reads(rights: str) -> bool:
    if rights.startswith("0x"):
        return not int(rights, 16) & ~READING_BITS
    return READING.issuperset(re.findall("..", rights))
