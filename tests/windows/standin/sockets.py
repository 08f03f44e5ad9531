"""Who listens where, as netstat tells it: the real sockets of the computer below, by the processes here."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .machine import Machine

Row = tuple[str, str, int, str, int]  # protocol, local address, port, state, pid
LISTEN = "0A"
ENGINE = ("dockerd", "docker-proxy")


class LiveSockets(list[Row]):
    """Looks anew each time that it is gone through."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.machine = machine

    def __iter__(self) -> Iterator[Row]:
        owners = _owners()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN:
                    address, port = _address(fields[1])
                    yield "TCP", address, port, "LISTENING", self._pid(owners.get(fields[9], 0), port)

    def _pid(self, real: int, port: int) -> int:
        """The number here of that real process or of whose child it is; what stands for a service is that service."""
        above: int = real
        while above > 1 and above not in self.machine.real_pids:
            above = _parent(above)
        if above in self.machine.real_pids:
            return self.machine.real_pids[above]
        name = _name(real)
        if name in ENGINE:
            found = self.machine.processes.find("com.docker.backend.exe")
            return found[0].pid if found else 4
        if name == "tailscaled":
            return self.machine.services.known["tailscale"].pid
        return self.machine.services.known["sshd"].pid if port == 22 else 4


def _address(text: str) -> tuple[str, int]:
    packed, _, port = text.partition(":")
    words = [bytes.fromhex(packed[at : at + 8])[::-1] for at in range(0, len(packed), 8)]
    return str(ipaddress.ip_address(b"".join(words))), int(port, 16)


def _owners() -> dict[str, int]:
    """{inode of a socket: real pid}"""
    found: dict[str, int] = {}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for each in os.scandir(folder):
                if inode := re.fullmatch(r"socket:\[(\d+)\]", str(Path(each.path).readlink())):
                    found.setdefault(inode[1], int(folder.parent.name))
    return found


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
