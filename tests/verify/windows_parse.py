"""What Windows' own tools print, as data: by places and numbers, never by words, which are translated. Pure."""

from __future__ import annotations

import calendar
import csv
import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.etree import ElementTree

from . import windows_access as access
from .parse import FileState, Listener, is_tailnet

# ---- processes and sockets


class Task(NamedTuple):
    """A row of `tasklist /V /FO CSV /NH`."""

    image: str
    pid: int
    account: str


def processes(text: str) -> dict[int, Task]:
    """Of `tasklist /V /FO CSV /NH`: image, pid, session, its number, memory, state, account, time, window."""
    found = {}
    for row in csv.reader(text.splitlines()):
        if len(row) >= 7 and row[1].isdigit():
            found[int(row[1])] = Task(row[0], int(row[1]), row[6])
    return found


def listeners(text: str, known: Mapping[int, Task]) -> list[Listener]:
    """Of `netstat -ano`. A listener is a TCP row whose foreign port is 0: its state is a translated word."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 5 or fields[0] != "TCP" or not fields[-1].isdigit() or fields[2].rpartition(":")[2] != "0":
            continue
        address, _, port = fields[1].rpartition(":")
        address = address.strip("[]").partition("%")[0]
        pid = int(fields[-1])
        image = known[pid].image if pid in known else "unknown program"
        address = "*" if address in ("0.0.0.0", "::") else address
        found.append(Listener(address, int(port), ((image, pid),)))
    return found


def service_state(text: str) -> tuple[int, int] | None:
    """(state, pid) of `sc queryex`, by their places: its labels are translated in some languages. None without one."""
    # type, state, two exit codes, checkpoint, hint, pid, flags
    values = re.findall(r"^[ \t]+[^:\s][^:\n]*:[ \t]*(\S*)", text, re.M)
    return (int(values[1]), int(values[6])) if len(values) > 6 and (values[1] + values[6]).isdigit() else None


# ---- addresses


def own_addresses(text: str) -> list[str]:
    """Of `route print`: the addresses of the machine's own interfaces. Rows end in interface and metric."""
    found = re.findall(r"^ *[\d.]+ +[\d.]+ .* ([\d.]+) +\d+ *$", text, re.M)
    found += re.findall(r"^ +\d+ +\d+ ([\da-fA-F:]+)/128\b", text, re.M)
    return [each for each in dict.fromkeys(found) if _is_address(each)]


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_multicast
    except ValueError:
        return False


def lan_addresses(text: str) -> list[str]:
    """Of `route print`: where a neighbour on the LAN would knock."""
    mine = [(each, ipaddress.ip_address(each)) for each in own_addresses(text)]
    return [each for each, known in mine if not (known.is_loopback or known.is_link_local or is_tailnet(each))]


# ---- files


MISSING = ("0x80070002", "0x80070003")
NO_FILE = "0x80070005"  # what it says of a directory; of a file only where even administrators may not read


def hashed(text: str) -> tuple[str, str | None]:
    """(kind, sha256) of `certutil -hashfile X SHA256`: by the line that is nothing but hex, or the error's number."""
    for line in text.splitlines():
        digits = re.sub(r"\s", "", line).lower()
        if re.fullmatch("[0-9a-f]{64}", digits):
            return "regular file", digits
    error = re.search(r"0x[0-9a-f]{8}", text)
    if error and error[0] in MISSING:
        return "", None
    return (
        "directory" if error and error[0] == NO_FILE else f"unreadable ({error[0] if error else 'no answer'})"
    ), None


def files(hashes: Mapping[str, str], lists: Mapping[str, str]) -> dict[str, FileState]:
    """{path: state} of what certutil said of each path, and of the access lists. Paths are the caller's."""
    folded = {path.lower(): sddl for path, sddl in lists.items()}
    found = {}
    for path, text in hashes.items():
        kind, sha256 = hashed(text)
        if kind:
            sddl = folded.get(path.lower())
            words = access.access(sddl, kind == "directory") if sddl else "unknown"
            found[path] = FileState(kind, words, sha256)
    return found


def listing(text: str, root: str) -> dict[str, list[int]]:
    """{path below root: [size, seconds]} of `robocopy ROOT NUL /L /E /BYTES /TS /FP /NC /NDL /NJH /NJS /NP`.

    Its time stamps are UTC, in one form in every language.
    """
    found = {}
    pattern = r"^\s*(\d+)\s+(\d{4})/(\d\d)/(\d\d) (\d\d):(\d\d):(\d\d)\s+(\S.*?)\s*$"
    for size, *moment, path in re.findall(pattern, text, re.M):
        if path.lower().startswith(root.lower() + "\\"):
            found[path[len(root) + 1 :]] = [int(size), calendar.timegm(tuple(map(int, moment)))]
    return found


# ---- the registry


class Value(NamedTuple):
    """A value of the registry, as `reg query` prints it."""

    kind: str
    data: str


def registry(text: str) -> dict[str, dict[str, Value]]:
    """{key: {name in lower case: value}} of `reg query`. Data that is empty or has blanks stays whole."""
    found: dict[str, dict[str, Value]] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("HKEY_"):
            key = line.strip()
            found.setdefault(key, {})
        elif value := re.match(r"    (.*?)    (REG_[A-Z_]+)(?:    (.*))?$", line):
            found.setdefault(key, {})[value[1].lower()] = Value(value[2], value[3] or "")
    return found


def values(text: str) -> dict[str, Value]:
    """The values of all keys together, for a query of one key."""
    return {name: value for each in registry(text).values() for name, value in each.items()}


def rule(text: str) -> dict[str, tuple[str, ...]]:
    """{token: its values, sorted} of a firewall rule's string; the version before it does not count.

    Networks are in one form, whether Windows keeps a mask or a length.
    """
    found: dict[str, list[str]] = {}
    for token in text.split("|")[1:]:
        name, equals, value = token.partition("=")
        if equals:
            found.setdefault(name, []).append(network(value) if name[:2] in ("RA", "LA") else value)
    return {name: tuple(sorted(each)) for name, each in found.items()}


def network(text: str) -> str:
    """A network with its prefix length; what is none (LocalSubnet, a range) as it stands."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return text


def variables(text: str) -> dict[str, str]:
    """{name in lower case: value} of cmd's `set`."""
    return {
        name.lower(): value for name, equals, value in (each.partition("=") for each in text.splitlines()) if equals
    }


# ---- tasks, power, features


def task(text: str) -> dict[str, str]:
    """{path of the element: text} of a task's XML, without namespace and declaration; empty when it is none.

    Settings that are at their default are not written by Windows: see `TASK_DEFAULTS`.
    """
    try:
        root = ElementTree.fromstring(re.sub(r"^\s*<\?xml[^>]*\?>", "", text.lstrip("\ufeff")))
    except ElementTree.ParseError:
        return {}
    found: dict[str, str] = {}

    def walk(element: ElementTree.Element, path: str) -> None:
        if path and not len(element):
            found[path] = (element.text or "").strip()
        for each in element:
            name = each.tag.rpartition("}")[2]
            place, number = f"{path}/{name}" if path else name, 2
            while place in found or any(key.startswith(f"{place}/") for key in found):
                place, number = f"{path}/{name} {number}", number + 1
            walk(each, place)

    walk(root, "")
    return found


def last_result(text: str) -> int | None:
    """A task's last result of `schtasks /Query /FO CSV /V /NH`: by its place, the seventh."""
    rows = [row for row in csv.reader(text.splitlines()) if len(row) > 6]
    try:
        return int(rows[0][6]) & 0xFFFFFFFF if rows else None
    except ValueError:
        return None


def power(text: str) -> tuple[int, int] | None:
    """(plugged in, on battery) of `powercfg /query SCHEME SUB SETTING`: its last two hex numbers."""
    numbers = re.findall(r"0x([0-9a-f]{8})\s*$", text, re.M)
    return (int(numbers[-2], 16), int(numbers[-1], 16)) if len(numbers) > 1 else None


def feature(text: str) -> str | None:
    """The state of `dism /English /Online /Get-FeatureInfo`, such as Enabled; None when it tells none."""
    found = re.search(r"^State : (.+?)\s*$", text, re.M)
    return found[1] if found else None


def joined(command: Sequence[str]) -> str:
    """A command as one text, to compare and to show."""
    return " ".join(f'"{each}"' if " " in each else each for each in command)
