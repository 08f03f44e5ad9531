"""Somebody on the LAN, without Tailscale, who knocks at the machines' LAN addresses.

DESK_NEIGHBOUR is a command prefix that runs a program there (`ssh you@other-pc`, `docker exec -i name`), which needs
python3. Without it the desk itself knocks, which proves something only where the desk is on that LAN.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .desk import Expected
from .expected import our_ports
from .machine import Machine
from .parse import Said
from .patience import DESK_S

PROGRAM = """
import concurrent.futures, json, socket, sys

def knock(target):
    address, _, port = target.rpartition(",")
    try:
        socket.create_connection((address, int(port)), 2).close()
        return target, True
    except OSError:
        return target, False

def on_this_wire():  # addresses whose card has answered: flag 2 of the kernel's own table
    try:
        with open("/proc/net/arp") as table:
            rows = [line.split() for line in table][1:]
    except OSError:
        return []
    return sorted({row[0] for row in rows if int(row[2], 16) & 2})

with concurrent.futures.ThreadPoolExecutor(64) as pool:
    answers = dict(pool.map(knock, sys.argv[1:]))
print(json.dumps({"answers": answers, "on this wire": on_this_wire()}))
"""


@dataclass(frozen=True)
class Neighbour:
    """`answers`: {(machine, address, port): whether something answered}. `trouble`: why nobody could knock.

    `on_this_wire`: addresses that it found on its own network, whatever a firewall there lets through.
    """

    name: str
    sent_for: bool
    answers: Mapping[tuple[str, str, int], bool]
    trouble: str = ""
    on_this_wire: Collection[str] = ()

    @classmethod
    def knocking(cls, machines: Sequence[Machine], everybody: Sequence[Expected], prefix: str | None) -> Neighbour:
        """Knock at every machine's LAN addresses: at our ports, and at sshd's, which shows that the road is open."""
        targets = [
            (machine.name, address, port)
            for machine in machines
            for address in machine.lan_addresses
            for port in [*our_ports(everybody), ssh_port(machine)]
        ]
        name = f"the neighbour ({prefix})" if prefix else "the desk"
        command = [*shlex.split(prefix), "python3"] if prefix else [sys.executable]
        # on stdin, and no word that a shell would read otherwise: ssh hands its words to one
        said = _told([*command, "-", *(f"{address},{port}" for _, address, port in targets)])
        if isinstance(said, str):
            return cls(name, bool(prefix), {}, said)
        answers = {target: said["answers"][f"{target[1]},{target[2]}"] for target in targets}
        return cls(name, bool(prefix), answers, on_this_wire=said["on this wire"])

    def reaches(self, machine: Machine) -> list[str]:
        """The LAN addresses of the machine at which silence means something: its sshd answers, or at least its card."""
        return [*self.open_at(machine, ssh_port(machine)), *(set(self.on_this_wire) & set(machine.lan_addresses))]

    def open_at(self, machine: Machine, port: int) -> list[str]:
        """The LAN addresses of the machine at which something answers on `port`."""
        return [each for each in machine.lan_addresses if self.answers.get((machine.name, each, port))]


def _told(line: Sequence[str]) -> dict[str, Any] | str:
    """What PROGRAM tells by that command line; or why nothing. A greeting may come before it."""
    try:
        done = subprocess.run(line, input=PROGRAM, capture_output=True, text=True, errors="replace", timeout=DESK_S)
    except subprocess.TimeoutExpired:
        return f"no answer within {DESK_S} s"
    except OSError as error:
        return f"{line[0]} cannot be run: {error.strerror}"
    if done.returncode:
        return Said(done.returncode, done.stdout, done.stderr).trouble
    try:
        told: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        return f"its answer is none: {Said(0, done.stdout, '').trouble}"
    return told


def ssh_port(machine: Machine) -> int:
    return int(machine.ssh_settings.get("port", "22").split()[0])
