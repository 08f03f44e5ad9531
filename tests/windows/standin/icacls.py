"""`icacls`: access lists in its own letters."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import looking, security
from .security import Ace

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process


MASKS = {0x1F01FF: "F", 0x1301BF: "M", 0x1200A9: "RX", 0x120089: "R", 0x116: "WD,AD,WEA,WA"}
LETTERS = {"F": 0x1F01FF, "M": 0x1301BF, "RX": 0x1200A9, "R": 0x120089, "W": 0x120116, "D": 0x10000}


def _rights(ace: Ace) -> str:
    if ace.mask == 0x10000000:
        return "(F)"
    generic = ",".join(n for n, b in (("GR", 0x80000000), ("GE", 0x20000000), ("GW", 0x40000000)) if ace.mask & b)
    return f"({MASKS.get(ace.mapped, generic or hex(ace.mask))})"


def icacls(process: Process) -> int:
    machine, path, options = process.machine, process.arguments[0], process.arguments[1:]

    def summary(good: int, bad: int) -> None:
        process.say_lines(machine.say("Successfully processed {0} files; Failed processing {1} files", good, bad))

    def fail(sentence: str, code: int) -> int:
        process.say_lines(f"{path}: {machine.say(sentence)}", error=True)
        summary(0, 1)
        return code

    if not machine.drive.exists(path):
        return fail("The system cannot find the file specified.", 2)
    if "/save" in [each.lower() for each in options]:
        summary(looking.saved_access(process, path, options), 0)
        return 0
    found = machine.drive.descriptor(path)
    if not options:
        shown = [
            machine.shown(ace.sid)
            + ":"
            + "".join(f"({f})" for f in ("ID", "OI", "CI", "IO", "NP") if f in ace.flags).replace("(ID)", "(I)")
            + _rights(ace)
            for ace in found.aces
        ]
        process.say_lines(
            f"{path} {shown[0] if shown else ''}", *(" " * (len(path) + 1) + each for each in shown[1:]), ""
        )
        summary(1, 0)
        return 0
    try:
        aces, protected = _granted(machine, found, options)
    except ValueError as problem:
        process.say_lines(f'Invalid parameter "{problem}"', error=True)
        return 87
    except OSError:
        return fail("No mapping between account names and security IDs was done.", 1332)
    try:
        sddl = security.render(security.Descriptor("", tuple(aces)), "P" if protected else "AI").replace("O:D", "D")
        machine.drive.set_descriptor(path, sddl, process.sids, restore=True)
    except OSError:
        return fail("Access is denied.", 5)
    process.say_lines(machine.say("processed file: {0}", path))
    summary(1, 0)
    return 0


def _granted(machine: Machine, found: security.Descriptor, options: list[str]) -> tuple[list[Ace], bool]:
    """The entries after icacls' options, and whether nothing comes from above any more.

    Raises ValueError for another option and OSError for a name that nobody has.
    """
    aces, protected = list(found.aces), found.protected
    while options:
        option, named = options.pop(0), []
        while options and not options[0].startswith("/"):
            named.append(options.pop(0))
        if option == "/inheritance:r":
            aces, protected = [ace for ace in aces if "ID" not in ace.flags], True
        elif option == "/remove:g":
            gone = [each.removeprefix("*") for each in named]
            aces = [ace for ace in aces if not (ace.allow and ace.sid in gone and "ID" not in ace.flags)]
        elif option in ("/grant", "/grant:r"):
            for each in named:
                who, _, rights = each.rpartition(":")
                sid = who[1:] if who.startswith("*") else machine.sid_of(who)
                flags = frozenset(re.findall(r"\((OI|CI|IO|NP)\)", rights))
                mask = LETTERS[re.findall(r"[A-Z]+", rights)[-1]]
                if option == "/grant:r":
                    aces = [a for a in aces if not (a.sid == sid and a.flags == flags)]
                aces.append(Ace(True, flags, mask, sid))
        else:
            raise ValueError(option)
    return aces, protected


# -- processes and sockets
