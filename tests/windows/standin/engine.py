"""The engine behind Docker Desktop: started and stopped with it, and the way from its containers to our loopback."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from . import real

if TYPE_CHECKING:
    from .processes import Process

HOST, RESOLVER = "192.168.65.254", "192.168.65.7"  # Docker Desktop's own: host.docker.internal, and its names
FORWARDER_PORT = 65254
ORIGINAL_DESTINATION = 80
NAMES = ("host.docker.internal", "gateway.docker.internal")
# whatever port of HOST a container asks for, the forwarder takes it; the lab's own cable has no such way in
TAKEN_IN = f"PREROUTING -d {HOST} ! -i eth0 -p tcp -j DNAT --to-destination {HOST}:{FORWARDER_PORT}".split()


class Engine:
    """The real one, as a service of the computer below."""

    speaks_old = False  # the sentence of a client before 2026 when nothing runs

    def __init__(self, hosts: Path = Path("/etc/hosts")) -> None:
        self.hosts = hosts
        self.held: Process | None = None
        self._doors: list[socket.socket] = []

    def runs(self) -> bool:
        return self.held is not None and self.held.alive

    def start(self, process: Process) -> bool:
        for address in (HOST, RESOLVER):
            real.ask(["ip", "address", "replace", f"{address}/32", "dev", "lo"])
        self._forward()
        code, _ = real.ask(["systemctl", "start", "docker"], 120)
        if real.ask(["iptables", "-t", "nat", "-C", *TAKEN_IN])[0]:
            real.ask(["iptables", "-t", "nat", "-A", *TAKEN_IN])
        self.held = process if code == 0 else None
        return code == 0

    def stop(self) -> None:
        self.held = None
        for each in self._doors:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._doors.clear()
        real.ask(["systemctl", "stop", "docker.socket", "docker"], 120)
        for address in (HOST, RESOLVER):
            real.ask(["ip", "address", "del", f"{address}/32", "dev", "lo"])

    def _forward(self) -> None:
        """The doors that containers knock at: any port of HOST, and names."""
        door = socket.create_server((HOST, FORWARDER_PORT), backlog=64)
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind((RESOLVER, 53))
        self._doors += [door, names]
        threading.Thread(target=_accept, args=(door,), daemon=True).start()
        threading.Thread(target=self._answer, args=(names,), daemon=True).start()

    # -- names
    def _answer(self, door: socket.socket) -> None:
        while True:
            try:
                query, sender = door.recvfrom(4096)
            except OSError:
                return
            with contextlib.suppress(OSError, ValueError, IndexError, struct.error):
                door.sendto(answer(query, self._address), sender)

    def _address(self, name: str) -> str | None:
        if name in NAMES:
            return HOST
        for line in self.hosts.read_text(encoding="utf-8").splitlines():
            address, *names = line.partition("#")[0].split() or [""]
            if name in names and "." in address:
                return address
        with contextlib.suppress(OSError):
            return str(socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0])
        return None


def answer(query: bytes, address_of: Callable[[str], str | None]) -> bytes:
    """The answer to a DNS question of one name: its A record, nothing for other types, or that there is none."""
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii"))
        at += 1 + query[at]
    question = query[12 : at + 5]
    (kind,) = struct.unpack("!H", query[at + 1 : at + 3])
    address = address_of(".".join(labels).lower())
    flags, answers = (0x8180 if address else 0x8183), b""
    if address and kind == 1:
        answers = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + ipaddress.IPv4Address(address).packed
    return query[:2] + struct.pack("!5H", flags, 1, 1 if answers else 0, 0, 0) + question + answers


def _accept(door: socket.socket) -> None:
    while True:
        try:
            client, _ = door.accept()
        except OSError:
            return
        threading.Thread(target=_join, args=(client,), daemon=True).start()


def _join(client: socket.socket) -> None:
    """To the same port of loopback."""
    with client, contextlib.suppress(OSError):
        original = client.getsockopt(socket.SOL_IP, ORIGINAL_DESTINATION, 16)
        (port,) = struct.unpack("!H", original[2:4])
        with socket.create_connection(("127.0.0.1", port), 10) as server:
            server.settimeout(None)
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        for block in iter(lambda: source.recv(1 << 16), b""):
            target.sendall(block)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
