"""What listens on this machine, and who: from `netstat -ano`, by places and numbers, never by its words."""

from __future__ import annotations

from ..errors import Refused
from ..system import State
from . import win32


def listeners() -> list[State]:
    """[{"address", "port", "process", "program"}]. A listener is a TCP row whose far port is 0, in every language."""
    code, out, err = win32.run("netstat.exe", ["-ano", "-p", "TCP"])
    code6, out6, _ = win32.run("netstat.exe", ["-ano", "-p", "TCPv6"])
    if code or code6:
        said = " ".join(win32.text(err or out).split())
        raise Refused(
            "look at what listens", said or f"netstat ended with {code or code6}", "connect as an administrator"
        )
    names = {pid: name for pid, (_, name) in win32.processes().items()}
    found = {}
    for line in (out + b"\n" + out6).split(b"\n"):
        fields = line.decode("ascii", "replace").split()
        if len(fields) < 5 or fields[0] != "TCP" or not fields[2].endswith(":0") or not fields[-1].isdigit():
            continue
        address, _, port = fields[1].rpartition(":")
        pid = int(fields[-1])
        address = address.strip("[]")
        found[address, int(port), pid] = {
            "address": address,
            "port": int(port),
            "process": pid,
            "program": names.get(pid, ""),
        }
    return sorted(found.values(), key=lambda each: (each["port"], each["address"]))
