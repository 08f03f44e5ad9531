"""The firewall: rule strings in the registry, `netsh advfirewall firewall` in front (windows-system 1)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .registry import RULES, SZ

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process

# Tokens, their order and the forms of the names are recorded; that these very strings lie side by side is assumed.
BUILT_IN = {
    "CoreNet-DHCPV6-In": (
        r"v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=17|LPort=546|RPort=547|App=%SystemRoot%\system32\svchost.exe|"
        r"Svc=dhcp|Name=@FirewallAPI.dll,-25304|Desc=@FirewallAPI.dll,-25306|EmbedCtxt=@FirewallAPI.dll,-25000|"
    ),
    "{8E1F1D3A-0001-4A55-9A21-0F4B6D0A0C01}": (
        "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|Profile=Public|LPort=80|LPort=443|"
        "Name=two ports|PFN=Contoso.App_8wekyb3d8bbwe|"
    ),
}
QUERY_USER = (  # recorded: that dismissing the prompt leaves such a rule, and its tokens; assumed: this very one
    r"TCP Query User{6F0D5B4E-2F32-4D7B-9F64-1B5C8E1C2D10}C:\program files\ollama\ollama.exe",
    r"v2.33|Action=Block|Active=TRUE|Dir=In|Protocol=6|Profile=Public|App=C:\program files\ollama\ollama.exe|"
    r"Name=ollama.exe|Desc=ollama.exe|Defer=User|",
)
TAILNET_ADDRESS = "100.64.0.7"
TAILSCALE_IN = (  # documented: tailscale/tailscale router_windows.go; the string made of it is assumed
    "{1B9D5C1E-5D3A-4F0E-8B0C-2B6A7C0D9E11}",
    f"v2.33|Action=Allow|Active=TRUE|Dir=In|Profile=Domain|Profile=Private|LA4={TAILNET_ADDRESS}|Name=Tailscale-In|",
)
PROTOCOLS = {"tcp": "6", "udp": "17", "icmpv4": "1", "icmpv6": "58"}
DELETABLE = {
    "name",
    "dir",
    "profile",
    "program",
    "service",
    "localip",
    "remoteip",
    "localport",
    "remoteport",
    "protocol",
}
NO_MATCH = "No rules match the specified criteria."
ADDABLE = DELETABLE | {"action", "enable", "description", "edge", "interfacetype", "security"}


class Firewall:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.given: dict[str, dict[str, str]] = {}
        self.at_change: Callable[[], None] = lambda: None  # before netsh ends, it is so
        machine.registry.writer = "windows"
        for name, rule in BUILT_IN.items():
            machine.registry.set(RULES, name, SZ, rule)
        machine.registry.writer = "agent"

    def put(self, name: str, rule: str) -> None:
        """A rule of somebody else's."""
        self.machine.registry.writer = "windows"
        self.machine.registry.set(RULES, name, SZ, rule)
        self.machine.registry.writer = "agent"

    def rules(self) -> dict[str, str]:
        key = self.machine.registry.find(RULES)
        assert key is not None
        return {name: data for name, _, data in key.values.values()}

    def named(self, name: str) -> list[str]:
        """The ids of the rules with that name; case does not count."""
        wanted = f"|name={name}|".lower()
        return [each for each, rule in self.rules().items() if wanted in rule.lower()]

    def add(self, given: dict[str, str]) -> None:
        dice = self.machine.dice
        words = [f"{dice.getrandbits(16):04X}" for _ in range(8)]
        name = f"{{{words[0]}{words[1]}-{words[2]}-{words[3]}-{words[4]}-{words[5]}{words[6]}{words[7]}}}"
        self.given[name] = dict(given)
        self.put(name, composed(given))

    def change(self, name: str, new: dict[str, str]) -> None:
        """`set`: what is not said stays. A rule that netsh did not make only gets enabled or disabled here."""
        if name in self.given:
            self.given[name].update(new)
            self.put(name, composed(self.given[name]))
        else:
            active = "TRUE" if new.get("enable", "yes") == "yes" else "FALSE"
            self.put(name, re.sub(r"\|Active=\w+\|", f"|Active={active}|", self.rules()[name]))


def composed(given: dict[str, str]) -> str:
    """The string that Windows keeps for what netsh was told."""
    tokens = [f"Action={given['action'].capitalize()}"]
    tokens.append("Active=TRUE" if given.get("enable", "yes") == "yes" else "Active=FALSE")
    tokens.append(f"Dir={given['dir'].capitalize()}")
    protocol = given.get("protocol", "any").lower()
    if protocol != "any":
        tokens.append(f"Protocol={PROTOCOLS.get(protocol, protocol)}")
    profiles = [each.capitalize() for each in given.get("profile", "any").split(",")]
    if not {"Any", "Domain,Private,Public"} & {*profiles, ",".join(sorted(profiles))}:
        tokens += [f"Profile={each}" for each in ("Domain", "Private", "Public") if each in profiles]
    for option, word in (("localport", "LPort"), ("remoteport", "RPort")):
        for port in given.get(option, "any").split(","):
            if port != "any":
                tokens.append(f"{word}2_10={port}" if "-" in port else f"{word}={port}")
    for option, word in (("localip", "LA"), ("remoteip", "RA")):
        tokens += _addresses(given.get(option, "any"), word)
    for option, word in (("program", "App"), ("service", "Svc"), ("name", "Name"), ("description", "Desc")):
        if given.get(option):
            tokens.append(f"{word}={given[option]}")
    return "v2.33|" + "|".join(tokens) + "|"


def _addresses(text: str, word: str) -> list[str]:
    """IPv4 networks with a mask, a /32 as the plain host (assumed for a /32 given as such), IPv6 with a prefix."""
    fours, sixes = [], []
    for each in text.split(","):
        if each == "any":
            continue
        if each.lower() == "localsubnet":
            fours.append(f"{word}4=LocalSubnet")
            sixes.append(f"{word}6=LocalSubnet")
        elif ":" in each:
            sixes.append(f"{word}6={each}")
        elif "/" in each:
            network = ipaddress.ip_network(each, strict=False)
            host = network.prefixlen == 32
            fours.append(f"{word}4={network.network_address}" + ("" if host else f"/{network.netmask}"))
        else:
            fours.append(f"{word}4={each}")
    return fours + sixes


def netsh(process: Process) -> int:
    """`netsh advfirewall firewall add|delete|set|show rule ...`: UTF-8, everything on stdout."""
    firewall = process.machine.firewall

    def say(*lines: str) -> None:
        process.say("".join(f"{line}\r\n" for line in lines).encode())

    code = _netsh(process, say)
    firewall.at_change()
    return code


def _netsh(process: Process, say: Callable[..., None]) -> int:  # noqa: PLR0912
    machine, firewall = process.machine, process.machine.firewall
    words = process.arguments
    if words[:2] != ["advfirewall", "firewall"] or words[3:4] != ["rule"]:
        say("The following command was not found: " + " ".join(words))
        return 1
    verb = words[2]
    given = dict(each.split("=", 1) for each in words[4:] if "=" in each)
    if not machine.elevated and verb != "show":
        say(machine.say("The requested operation requires elevation (Run as administrator)."), "")
        return 1
    if verb == "add":
        return _add(firewall, given, say)
    found = firewall.named(given.get("name", ""))
    if verb == "delete":
        for name in given:
            if name not in DELETABLE:
                say("", f"'{name}' is not a valid argument for this command.", "")
                return 1
    if not found:
        say("", machine.say(NO_MATCH), "")
        return 1
    if verb == "delete":
        for each in found:
            machine.registry.delete(RULES, each)
        say("", machine.say("Deleted {0} rule(s).", len(found)), machine.say("Ok."), "")
    elif verb == "set":
        new = dict(each.split("=", 1) for each in words[words.index("new") + 1 :]) if "new" in words else {}
        for each in found:
            firewall.change(each, new)
        say("", machine.say("Updated {0} rule(s).", len(found)), machine.say("Ok."), "")
    else:
        label = "Regelname:" if machine.language == "de" else "Rule Name:"
        for _ in found:
            say("", f"{label:<38}{given['name']}", "-" * 70, machine.say("Ok."), "")
    return 0


def _add(firewall: Firewall, given: dict[str, str], say: object) -> int:
    speak = say if callable(say) else print
    protocol = given.get("protocol", "any").lower()
    if protocol not in ("tcp", "udp", "6", "17") and ("localport" in given or "remoteport" in given):
        speak("Ports can only be specified if the protocol is TCP or UDP.", "")
        return 1
    if set(given) - ADDABLE or not re.fullmatch(r"any|[\d,-]+", given.get("localport", "any")):
        speak("A specified port value is not valid.", "", "Usage: add rule name=<string>", "")
        return 1
    firewall.add(given)
    speak(firewall.machine.say("Ok."), "")
    return 0
