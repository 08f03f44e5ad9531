"""The firewall's rules at work in the lab: the computer below refuses what they refuse, for TCP over IPv4.

As Microsoft's pages say: inbound is refused unless a rule allows it, one that blocks wins, what is open stays open, and
loopback passes no firewall. A rule that names a program is taken as one for all programs when it allows, and left out
when it blocks: which program listens is not known below.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping

CHAIN = "WINDOWS"
TCP = "6"
FROM_OUTSIDE = ("eth+", "tailscale+")  # Docker's own networks are inside of Windows


class Enforcement:
    """Keeps a chain of the kernel's filter, ahead of any forwarding, like the rules."""

    def __init__(self) -> None:
        self.done = ""

    def follow(self, rules: Iterable[str], near: str) -> None:
        """`near`: the network that is LocalSubnet. Raises OSError or CalledProcessError without a filter below."""
        wanted = chain(rules, near)
        if wanted == self.done:
            return
        subprocess.run(["iptables-restore", "--noflush", "--wait"], input=wanted.encode(), check=True)
        for interface in FROM_OUTSIDE:
            jump = ["PREROUTING", "-i", interface, "-p", "tcp", "-m", "conntrack", "--ctstate", "NEW", "-j", CHAIN]
            known = subprocess.run(["iptables", "--wait", "-t", "mangle", "-C", *jump], stderr=subprocess.DEVNULL)
            if known.returncode:
                subprocess.run(["iptables", "--wait", "-t", "mangle", "-A", *jump], check=True)
        self.done = wanted


def chain(rules: Iterable[str], near: str) -> str:
    """What `iptables-restore` is told: blocks, then what is allowed, then nothing more."""
    found = [each for each in map(tokens, rules) if applies(each)]
    blocks = [line for each in found if each["Action"] == ["Block"] and not each["App"] for line in matches(each, near)]
    allows = [line for each in found if each["Action"] == ["Allow"] for line in matches(each, near)]
    lines = [f"-A {CHAIN}{each} -j DROP" for each in blocks] + [f"-A {CHAIN}{each} -j RETURN" for each in allows]
    return "\n".join(["*mangle", f":{CHAIN} - [0:0]", *lines, f"-A {CHAIN} -j DROP", "COMMIT", ""])


def tokens(rule: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for token in rule.strip("|").split("|")[1:]:
        name, _, value = token.partition("=")
        found[name].append(value)
    return found


def applies(rule: Mapping[str, list[str]]) -> bool:
    protocol = rule.get("Protocol", [])
    return rule.get("Dir") == ["In"] and rule.get("Active") == ["TRUE"] and protocol in ([], [TCP])


def matches(rule: Mapping[str, list[str]], near: str) -> list[str]:
    """One for each pair of ports and addresses that it names; none when it names only what is not ours to see."""
    named = [*rule.get("LPort", []), *rule.get("LPort2_10", [])]
    ports = [f" -p tcp --dport {each.replace('-', ':')}" for each in named if each.replace("-", "").isdigit()]
    return [
        f"{port}{source}{target}"
        for port in (ports if named else [""])
        for source in _addresses(rule, "RA", "src", near)
        for target in _addresses(rule, "LA", "dst", near)
    ]


def _addresses(rule: Mapping[str, list[str]], word: str, side: str, near: str) -> list[str]:
    fours = rule.get(f"{word}4", [])
    if not fours:  # for IPv6 alone: nothing of IPv4
        return [] if rule.get(f"{word}6") else [""]
    ranges = (near if each == "LocalSubnet" else each for each in fours)
    return [f" -m iprange --{side}-range {each}" if "-" in each else f" -{side[0]} {each}" for each in ranges]
