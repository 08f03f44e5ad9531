"""Who may knock at a Windows Apex, judged by the rules as its registry keeps them.

The stand-in keeps rules and lets everybody in: so they are judged here as Microsoft's pages say that Windows does.
Inbound is refused unless a rule allows it; a rule counts when all that it names is so; one that blocks wins.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from typing import Any

import pytest

from .conftest import Machine, described
from .tampers import SHIPPED

TCP = "6"
DOOR, GATEWAY, ENGINE, THEIRS = 22, 4000, 11434, 8090
SSH_RULE = "OpenSSH SSH Server (sshd)"
WINDOWS = described()["machines"]["apex"].get("os") == "windows"
pytestmark = pytest.mark.skipif(
    not WINDOWS, reason="Apex has no rules of ours: its ports are bound to the tailnet alone"
)


def lets_in(rules: dict[str, str], source: str, local: str, port: int) -> bool:
    """Whether TCP from `source` may come to `port` of `local`, on whatever network profile and program it is."""
    applying = [rule for rule in map(_tokens, rules.values()) if _applies(rule, source, local, port)]
    # A block for one program is none for another: only one for all of them is counted on.
    blocked = any(rule["Action"] == ["Block"] and not rule["App"] for rule in applying)
    return not blocked and any(rule["Action"] == ["Allow"] for rule in applying)


def _tokens(rule: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for token in rule.strip("|").split("|")[1:]:
        name, _, value = token.partition("=")
        found[name].append(value)
    return found


def _applies(rule: dict[str, list[str]], source: str, local: str, port: int) -> bool:
    return (
        rule["Dir"] == ["In"]
        and rule["Active"] == ["TRUE"]
        and rule["Protocol"] in ([], [TCP])
        and (not rule["LPort"] + rule["LPort2_10"] or _holds_port([*rule["LPort"], *rule["LPort2_10"]], port))
        and _holds_address(rule["RA4"], rule["RA6"], source, local)
        and _holds_address(rule["LA4"], rule["LA6"], local, local)
    )


def _holds_port(texts: list[str], port: int) -> bool:
    """`22` or `8000-8100`; words such as RPC are no port of ours."""
    ranges = [text.partition("-") for text in texts if text.replace("-", "").isdigit()]
    return any(int(low) <= port <= int(high or low) for low, _, high in ranges)


def _holds_address(fours: list[str], sixes: list[str], address: str, local: str) -> bool:
    """Any when none is named. `LocalSubnet` is the network that `local` is in, here of 256 addresses."""
    near = ipaddress.IPv4Network(f"{local}/24", strict=False)
    return not fours + sixes or any(_holds(text, ipaddress.IPv4Address(address), near) for text in fours)


def _holds(text: str, address: ipaddress.IPv4Address, near: ipaddress.IPv4Network) -> bool:
    low, dash, high = text.partition("-")
    if dash:
        return ipaddress.IPv4Address(low) <= address <= ipaddress.IPv4Address(high)
    return address in (near if text == "LocalSubnet" else ipaddress.IPv4Network(text, strict=False))


@pytest.fixture
def who(lab: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Where somebody comes from, and where to: over the LAN, over the tailnet."""
    apex = lab["machines"]["apex"]
    return {
        "lan": (lab["neighbour"]["lan_ip"], apex["lan_ip"]),
        "tailnet": (lab["desk"]["tailnet_ip"], apex["tailnet_ip"]),
    }


def test_the_lan_is_let_in_to_nothing_of_ours(apex: Machine, who: dict[str, tuple[str, str]]) -> None:
    rules = apex.control("firewall")
    assert [port for port in (DOOR, GATEWAY, ENGINE) if lets_in(rules, *who["lan"], port)] == []
    assert lets_in(rules, *who["lan"], THEIRS), "the neighbour's own port stays open"


def test_the_tailnet_is_let_in_to_ssh_and_the_gateway(apex: Machine, who: dict[str, tuple[str, str]]) -> None:
    rules = apex.control("firewall")
    assert [port for port in (DOOR, GATEWAY, ENGINE) if lets_in(rules, *who["tailnet"], port)] == [DOOR, GATEWAY]


def test_a_rule_that_opens_to_anybody_is_seen(apex: Machine, who: dict[str, tuple[str, str]]) -> None:
    before = apex.control("firewall")
    apex.control("rule", name=SSH_RULE, text=SHIPPED)
    try:
        assert lets_in(apex.control("firewall"), *who["lan"], DOOR)
    finally:
        apex.control("rule", name=SSH_RULE, do="delete")
    assert apex.control("firewall") == before
