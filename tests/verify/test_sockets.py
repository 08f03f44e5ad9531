"""Nothing of ours is heard beyond loopback and the tailnet. The one exception is sshd: it is the way back in."""

from __future__ import annotations

import pytest

from . import parse
from .each import each, ports
from .machine import Machine
from .neighbour import Neighbour, ssh_port
from .saying import must, shown


def test_nothing_of_ours_listens_beyond(machine: Machine) -> None:
    """Every socket of our service's and our container's processes, whatever its port."""
    mine = [each for each in machine.listeners if machine.ours & {pid for _, pid in each.programs}]
    beyond = [str(each) for each in mine if not parse.is_loopback(each.address) and not parse.is_tailnet(each.address)]
    must(not beyond, f"{machine.name}: {shown(beyond)}, wanted loopback and the tailnet only")


@each("port", ports)
def test_port_listens_nowhere_else(machine: Machine, port: int) -> None:
    """Whoever it is that listens: our ports belong to loopback and the tailnet."""
    beyond = [
        str(each)
        for each in machine.listeners
        if each.port == port and not parse.is_loopback(each.address) and not parse.is_tailnet(each.address)
    ]
    must(not beyond, f"{machine.name}: {shown(beyond)}, wanted port {port} on loopback and the tailnet only")


@each("port", ports)
def test_lan_hears_nothing(machine: Machine, port: int, neighbour: Neighbour) -> None:
    """Asked from outside: a firewall or a forwarding may do what no socket list shows."""
    must(
        not neighbour.trouble,
        f"{machine.name}: {neighbour.name} could not knock at port {port} of its LAN addresses: {neighbour.trouble}",
    )
    heard = neighbour.open_at(machine, port)
    must(
        not heard, f"{machine.name}: port {port} answers {neighbour.name} at {shown(heard)}, wanted silence on the LAN"
    )
    if not neighbour.reaches(machine):
        silence = (
            f"{neighbour.name} hears not even sshd (port {ssh_port(machine)}) of {machine.name} "
            f"at {shown(machine.lan_addresses)}, nor is that on its own network: silence on port {port} proves nothing"
        )
        must(not neighbour.sent_for, silence)
        pytest.skip(f"{silence} (set DESK_NEIGHBOUR to ask from its LAN)")
