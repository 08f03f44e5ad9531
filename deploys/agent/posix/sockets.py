"""What listens on this machine, and who: from the kernel's own tables."""

from __future__ import annotations

import contextlib
import ipaddress
import os

from ..system import State

LISTENS = "0A"


def listeners() -> list[State]:
    """[{"address", "port", "process", "program"}] of TCP; process 0 where it cannot be told."""
    owners, found = _owners(), []
    for table in ("tcp", "tcp6"):
        for line in _lines(f"/proc/net/{table}")[1:]:
            fields = line.split()
            if fields[3] != LISTENS:
                continue
            address, port = _place(fields[1])
            process = owners.get(fields[9], 0)
            program = "".join(_lines(f"/proc/{process}/comm")[:1])
            found.append({"address": address, "port": port, "process": process, "program": program})
    return found


def runs(service: str, process: int) -> bool:
    """Whether systemd counts that process to the service."""
    return any(f"{service}.service" in line.split("/") for line in _lines(f"/proc/{process}/cgroup"))


def _lines(path: str) -> list[str]:
    """None of what is not there, or not any more."""
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read().splitlines()
    return []


def _place(text: str) -> tuple[str, int]:
    """`0100007F:2CAA` as ("127.0.0.1", 11434): 32 bits at a time, the last byte first."""
    packed, _, port = text.partition(":")
    words = [bytes.fromhex(packed[at : at + 8])[::-1] for at in range(0, len(packed), 8)]
    return str(ipaddress.ip_address(b"".join(words))), int(port, 16)


def _owners() -> dict[str, int]:
    """{inode of a socket: a process that has it open}."""
    found = {}
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it ended meanwhile
            for name in os.listdir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    target = os.readlink(f"/proc/{process}/fd/{name}")
                    if target.startswith("socket:["):
                        found[target[8:-1]] = int(process)
    return found
