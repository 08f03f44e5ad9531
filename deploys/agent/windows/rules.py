"""Firewall rules: the strings in which Windows keeps them, what they mean, and what `netsh` is told.

Grammar: MS-GPFAS 2.2.2.19. `v<major>.<minor>|TYPE=VALUE|...|`; tokens that the grammar does not name occur and stay.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Optional, Sequence

from ..system import State

KEY = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
PROTOCOLS = {"tcp": "6", "udp": "17", "icmpv4": "1", "icmpv6": "58"}
PROFILES = ("domain", "private", "public")
PORTS = {"LPort": "ports", "LPort2_10": "ports", "RPort": "remote_ports", "RPort2_10": "remote_ports"}
ADDRESSES = {"LA4": "local", "LA6": "local", "RA4": "remote", "RA6": "remote"}
SINGLE = {"App": "program", "Svc": "service", "Name": "name", "Desc": "description"}
UNSAID = {"LSM", "LOM", "EmbedCtxt"}  # never or only for show

Tokens = list[tuple[str, str]]


def tokens(text: str) -> Optional[Tokens]:
    """The tokens in their order, the version left out (machines mix them); None when it is no rule."""
    if not re.fullmatch(r"v\d+\.\d+\|(?:[A-Za-z0-9_]+=[^|]*\|)+", text):
        return None
    return [tuple(each.split("=", 1)) for each in text.split("|")[1:-1]]  # type: ignore[misc]


def meaning(found: Tokens) -> State:
    """What a rule says, so that two that do the same are equal. Unknown tokens are under `other`."""
    rule: State = {"enabled": True, "action": "allow", "direction": "in", "protocol": "any", **_nothing()}
    for word, value in found:
        if word == "Action":
            rule["action"] = value.lower()
        elif word == "Active":
            rule["enabled"] = value == "TRUE"
        elif word == "Dir":
            rule["direction"] = value.lower()
        elif word == "Protocol":
            rule["protocol"] = {number: name for name, number in PROTOCOLS.items()}.get(value, value)
        elif word == "Profile":
            rule["profiles"].add(value.lower())
        elif word in PORTS:
            rule[PORTS[word]].add(value)
        elif word in ADDRESSES:
            rule[ADDRESSES[word]].add(_address(value))
        elif word in SINGLE:
            rule[SINGLE[word]] = value
        elif word not in UNSAID:
            rule["other"].add(f"{word}={value}")
    if rule["profiles"] == set(PROFILES):
        rule["profiles"] = set()
    return {name: sorted(value) if isinstance(value, set) else value for name, value in rule.items()}


def _nothing() -> State:
    many = ("profiles", "ports", "remote_ports", "local", "remote", "other")
    return {**dict.fromkeys(SINGLE.values(), ""), **{name: set() for name in many}}


def _address(text: str) -> str:
    """One spelling for each address, network or range."""
    if text.lower() == "localsubnet":
        return "localsubnet"
    first, dash, last = text.partition("-")
    if dash:
        return f"{_address(first)}-{_address(last)}"
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text.lower()
    single = network.prefixlen == network.max_prefixlen
    return str(network.network_address if single else network)


def wanted(name: str, spec: State) -> State:
    """What the rule shall mean. `spec`: action, direction, protocol, ports, remote_ports, local, remote, profiles,
    program, service, description, enabled; all but action and direction may be absent."""
    made: dict[str, Any] = {
        "enabled": spec.get("enabled", True),
        "action": spec["action"],
        "direction": spec["direction"],
        "protocol": str(spec.get("protocol", "any")).lower(),
        "name": name,
        "other": [],
    }
    for each in ("program", "service", "description"):
        made[each] = spec.get(each) or ""
    for each in ("ports", "remote_ports"):
        made[each] = sorted(str(port) for port in spec.get(each, ()))
    for each in ("local", "remote"):
        made[each] = sorted(_address(address) for address in spec.get(each, ()))
    profiles = sorted(each.lower() for each in spec.get("profiles", ()))
    made["profiles"] = [] if profiles == sorted(PROFILES) else profiles
    return made


def arguments(rule: State) -> list[str]:
    """The words of `netsh advfirewall firewall add rule` for it; every one that has a default is said."""
    said = [f"dir={rule['direction']}", f"action={rule['action']}", f"protocol={rule['protocol']}"]
    said.append(f"enable={'yes' if rule['enabled'] else 'no'}")
    said.append(f"profile={','.join(rule['profiles']) or 'any'}")
    for name, word in (("local", "localip"), ("remote", "remoteip")):
        said.append(f"{word}={','.join(rule[name]) or 'any'}")
    if rule["protocol"] in ("tcp", "udp"):  # netsh refuses ports with any other, even `any`
        for name, word in (("ports", "localport"), ("remote_ports", "remoteport")):
            said.append(f"{word}={','.join(rule[name]) or 'any'}")
    for name in ("program", "service", "description"):
        if rule[name]:
            said.append(f"{name}={rule[name]}")
    return said


def nonsense(name: str, rule: State) -> str:
    """Why Windows would not take this rule as meant; "" when it would."""
    texts = [name, rule["program"], rule["service"], rule["description"]]
    if any(re.search(r'[|"\r\n]', each) for each in texts):
        return "a name, program or description holds a bar, a quote or a line break"
    if name.lower() == "all" or not name.strip():
        return "netsh takes that name for every rule"
    if (rule["ports"] or rule["remote_ports"]) and rule["protocol"] not in ("tcp", "udp"):
        return "ports want the protocol tcp or udp"
    return ""


def blocks(found: State, rule: State) -> bool:
    """Whether `found`, somebody else's, may block what `rule` allows: Block beats Allow everywhere."""
    return rule["action"] == "allow" and found["action"] == "block" and _meet(found, rule)


def opens(found: State, rule: State) -> bool:
    """Whether `found`, somebody else's, lets in what `rule` lets in, from more places than `rule` does."""
    wider = not found["remote"] or not set(found["remote"]) <= set(rule["remote"])
    return bool(rule["remote"]) and found["action"] == rule["action"] == "allow" and wider and _meet(found, rule)


def widens(found: State, rule: State) -> bool:
    """Whether `found` opens it to places that `rule` does not name, even by the addresses that they come in at.

    Whoever reaches an address of a network is taken to be in that network: Tailscale's own rule widens nothing.
    """
    inside = found["local"] and all(_within(each, rule["remote"]) for each in found["local"])
    return opens(found, rule) and not inside


def _within(address: str, networks: Sequence[str]) -> bool:
    try:
        ours = ipaddress.ip_network(address)
        places = [ipaddress.ip_network(each) for each in networks]
    except ValueError:  # a range or a word
        return False
    return any(ours.network_address in each and ours.broadcast_address in each for each in places)


def silences(spec: State) -> bool:
    """Whether it only wants rules of that name to be off, whatever they say."""
    return "enabled" in spec and "action" not in spec


def _meet(found: State, rule: State) -> bool:
    """Whether some connection is both's."""
    if not found["enabled"] or found["direction"] != rule["direction"]:
        return False
    if "any" not in (found["protocol"], rule["protocol"]) and found["protocol"] != rule["protocol"]:
        return False
    if found["ports"] and rule["ports"] and not set(found["ports"]) & set(rule["ports"]):
        return False
    programs = {each["program"].lower() for each in (found, rule) if each["program"]}
    return len(programs) < 2
