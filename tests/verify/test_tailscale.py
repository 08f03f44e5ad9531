"""The road between the machines: up, under this machine's own address, new enough."""

from __future__ import annotations

from typing import Any

from . import parse
from .each import where
from .machine import Machine, Tailnet
from .saying import fail, must, must_be, shown


def tailnet_of(machine: Machine) -> Tailnet:
    return machine.tailnet or fail(f"{machine.name}: Tailscale does not answer: {machine.why('tailscale')}")


@where("tailnet")
def test_tailscale_runs(machine: Machine, tailnet: dict[str, Any]) -> None:
    found = tailnet_of(machine)
    must_be(machine.name, "Tailscale's state", found.state, "Running")
    must(found.online, f"{machine.name}: Tailscale is offline, wanted online: see `tailscale status` there")


@where("tailnet")
def test_machine_has_its_tailnet_address(machine: Machine, tailnet: dict[str, Any]) -> None:
    found = tailnet_of(machine)
    mine = [address for address in found.addresses if parse.is_tailnet(address)]
    must(mine, f"{machine.name}: its Tailscale addresses are {shown(found.addresses)}, wanted one of 100.64.0.0/10")
    must(
        mine[0] in found.carried,
        f"{machine.name}: none of its interfaces has its tailnet address {mine[0]}, wanted Tailscale's to have it",
    )


@where("tailnet")
def test_tailscale_is_new_enough(machine: Machine, tailnet: dict[str, Any]) -> None:
    found, oldest = tailnet_of(machine).version, tailnet["oldest_version"]
    must(
        parse.version(found) >= parse.version(oldest),
        f"{machine.name}: Tailscale is version {found}, wanted {oldest} or newer",
    )


@where("tailnet")
def test_tailscale_needs_nobody_logged_on(machine: Machine, tailnet: dict[str, Any]) -> None:
    unattended = tailnet_of(machine).unattended
    must(
        unattended is not False,
        f"{machine.name}: Tailscale is up only while somebody is logged on, wanted unattended: "
        "`tailscale set --unattended` there",
    )
