"""What tells of a machine without changing it: lists of access, of files, of routes, of processes with their accounts.

Recorded: `icacls /save` (UTF-16LE, a name then its list, with and without a mark: public installers' tests), `route
print` in English and German (kellyjonbrazil/jc and others), `tasklist /V` (public logs). Documented: what robocopy's
options mean. Assumed: the column widths of robocopy, and that `route print` names each own address with its full mask.
"""

from __future__ import annotations

import ipaddress
import json
import ntpath
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from . import security

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process

GERMAN = {  # recorded
    "Interface List": "Schnittstellenliste",
    "IPv4 Route Table": "IPv4-Routentabelle",
    "Active Routes:": "Aktive Routen:",
    "Network Destination        Netmask          Gateway       Interface  Metric": (
        "     Netzwerkziel    Netzwerkmaske          Gateway    Schnittstelle Metrik"
    ),
    "On-link": "Auf Verbindung",
    "Persistent Routes:": "Ständige Routen:",
}


def below(machine: Machine, path: str) -> list[str]:
    """The path and all below it, without links, which only programs below make."""
    found, real = [path], machine.drive.real(path)
    for folder, folders, files in os.walk(real):
        above = "\\".join([path, *Path(folder).relative_to(real).parts])
        found += [f"{above}\\{name}" for name in folders + files if not Path(folder, name).is_symlink()]
    return sorted(found)


def saved_access(process: Process, path: str, options: list[str]) -> int:
    """`icacls X /save FILE [/T]`: names from the last part of X on, each with its list in SDDL. No owner."""
    machine = process.machine
    target = options[[each.lower() for each in options].index("/save") + 1]
    paths = below(machine, path) if "/t" in [each.lower() for each in options] else [path]
    text = ""
    for each in paths:
        name = ntpath.relpath(each, ntpath.dirname(path))
        sddl = machine.drive.sddl(each)
        text += f"{name}\r\n{sddl[sddl.index('D:') :]}\r\n"
    mark = b"\xff\xfe" if machine.dice.random() < 0.5 else b""
    machine.drive.write(target, mark + text.encode("utf-16-le"))
    return len(paths)


def robocopy(process: Process) -> int:
    """`robocopy DIR NUL /L /E /BYTES /TS /FP ... [/XD DIR]`: size, UTC time and path of each file; exit 1 or 0."""
    machine = process.machine
    source = process.arguments[0]
    most = next((int(each[5:]) for each in process.arguments if each.upper().startswith("/MAX:")), 1 << 62)
    if not machine.drive.exists(source):
        process.say_lines("", f"ERROR 2 (0x00000002) {source}")
        return 16
    found = 0
    words = [each.upper() for each in process.arguments]
    left_out = process.arguments[words.index("/XD") + 1].lower() + "\\" if "/XD" in words else None
    for path in below(machine, source):
        if left_out and path.lower().startswith(left_out):
            continue
        real = machine.drive.real(path)
        if real.is_file() and real.stat().st_size <= most:
            moment = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime(int(real.stat().st_mtime)))
            process.say_lines(f"\t    \t\t{real.stat().st_size:>10} {moment}\t{path}")
            found = 1
    return found


def route(process: Process) -> int:
    """`route print`: what counts are the numbers; everything else is translated."""
    machine = process.machine

    def word(text: str) -> str:
        return GERMAN.get(text, text) if machine.language == "de" else text

    rule = "=" * 75
    heads = "Network Destination        Netmask          Gateway       Interface  Metric"
    process.say_lines(rule, word("Interface List"), " 12...00 15 5d 00 01 02 ......Intel(R) Ethernet", rule, "")
    process.say_lines(word("IPv4 Route Table"), rule, word("Active Routes:"), word(heads))
    for address, gateway in machine.tools.addresses().items():
        if gateway:
            process.say_lines(f"{'0.0.0.0':>17}{'0.0.0.0':>17}{gateway:>17}{address:>17}     25")
        for destination, mask in ((address, "255.255.255.255"), ("224.0.0.0", "240.0.0.0")):
            process.say_lines(f"{destination:>17}{mask:>17}{word('On-link'):>17}{address:>17}    281")
    process.say_lines(rule, word("Persistent Routes:"), "  None")
    return 0


def real_addresses() -> dict[str, str]:
    """{own IPv4 address: ""} of the computer below, for a machine that is on its network."""
    return dict.fromkeys(real_networks(), "")


def real_networks(card: str = "") -> dict[str, str]:
    """{own IPv4 address: its network} of the computer below, or of one card of it."""
    said = subprocess.run(["ip", "-json", "-4", "addr"], capture_output=True, check=True).stdout
    return {
        info["local"]: str(ipaddress.ip_network(f"{info['local']}/{info['prefixlen']}", strict=False))
        for link in json.loads(said)
        for info in link.get("addr_info", [])
        if link.get("ifname", "").startswith(card)
    }


def account_of(process: Process) -> str:
    """The name of the account that a process runs under, in the machine's language."""
    machine = process.machine
    if not process.sids:
        return machine.shown(security.SYSTEM)
    service = (security.LOCAL_SERVICE, security.NETWORK_SERVICE)
    own = (security.SYSTEM, *service, *(each for each in process.sids if each.startswith("S-1-5-21-")))
    return machine.shown(next((each for each in own if each in process.sids), security.SYSTEM))
