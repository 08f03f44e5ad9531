"""What the data says of the Windows system itself, kind by kind: what to ask, what was found, what is wanted. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import parse
from . import windows_parse as read
from .cmdline import quoted
from .parse import Said

Thing = Mapping[str, Any]
State = dict[str, object]

ENVIRONMENT = {
    "machine": r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment",
    "user": r"HKCU\Environment",
}
RULES = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
UNINSTALL = {
    "64": r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    "32": r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
}  # what is installed for one user alone is not there for the machine
SLEEP = "238c9fa8-0aad-41ed-83f4-97be242c8f20"  # the subgroup; names of settings are translated, numbers are not
POWER = {"sleep": "29f6c1db-86da-48c5-9fdb-f2b67b1f44da", "hibernate": "9d7815a6-7ee4-497e-8888-515a05f02364"}
SECONDS = {"seconds when plugged in": "plugged_s", "seconds on battery": "battery_s"}
STARTS = {"auto": "0x2", "delayed": "0x2", "manual": "0x3", "disabled": "0x4"}
RUNNING = 4
REG = {
    "string": "REG_SZ",
    "expand": "REG_EXPAND_SZ",
    "dword": "REG_DWORD",
    "qword": "REG_QWORD",
    "multi": "REG_MULTI_SZ",
    "binary": "REG_BINARY",
}


class Told:
    """What the commands said: `told(name)` is the text of that one, "" when it failed."""

    def __init__(self, commands: Mapping[str, Said]) -> None:
        self.commands = commands

    def __call__(self, name: str) -> str:
        return self.commands[name].out if self.succeeded(name) else ""

    def succeeded(self, name: str) -> bool:
        return name in self.commands and not self.commands[name].code


class Kind(NamedTuple):
    """One kind. `asked`: {command's name: command}; `found` has at least the names of `wanted`."""

    asked: Callable[[Thing], dict[str, str]]
    found: Callable[[Thing, Told], State]
    wanted: Callable[[Thing], State]


def _query(key: str, more: str = "") -> str:
    return f"reg query {quoted(key)}{more}"


# ---- variables and PATH


def _environment(thing: Thing) -> dict[str, str]:
    return {f"environment-{thing['scope']}": _query(ENVIRONMENT[thing["scope"]])}


def _variable(thing: Thing, told: Told) -> State:
    value = read.values(told(f"environment-{thing['scope']}")).get(thing["name"].lower())
    expands = bool(value and value.kind == "REG_EXPAND_SZ")
    return {"value": value and value.data, "filled in by readers": expands}


def _variable_wanted(thing: Thing) -> State:
    state: State = {"value": thing["value"]}
    return {**state, "filled in by readers": True} if "%" in (thing["value"] or "") else state


def _path_asked(thing: Thing) -> dict[str, str]:
    return {**_environment(thing), "variables": "set"}


def _path(thing: Thing, told: Told) -> State:
    value = read.values(told(f"environment-{thing['scope']}")).get("path", read.Value("", ""))
    variables = read.variables(told("variables"))
    there = {_folder(each, variables) for each in value.data.split(";") if each.strip()}
    broken = "%" in value.data and value.kind != "REG_EXPAND_SZ"
    return {"there": _folder(thing["directory"], variables) in there, "others left unread": broken}


def _folder(entry: str, variables: Mapping[str, str]) -> str:
    """An entry of a PATH in one form: who searches by it sees no difference in quotes, slashes, case or `%NAME%`."""
    text = re.sub(r"%([^%]+)%", lambda name: variables.get(name[1].lower(), name[0]), entry.strip().strip('"'))
    return text.replace("/", "\\").rstrip("\\").lower()


# ---- registry


def _registry(thing: Thing) -> dict[str, str]:
    key, _, name = thing["name"].rpartition("\\")
    return {f"registry-{_label(thing['name'])}": _query(key, f" /v {quoted(name)}")}


def _label(text: str) -> str:
    return re.sub(r"\W", "_", text)


def _registry_found(thing: Thing, told: Told) -> State:
    name = thing["name"].rpartition("\\")[2]
    value = read.values(told(f"registry-{_label(thing['name'])}")).get(name.lower())
    if value is None:
        return {"type": None, "data": None}
    data: object = value.data
    if value.kind in ("REG_DWORD", "REG_QWORD"):
        data = int(value.data, 16)
    elif value.kind == "REG_MULTI_SZ":
        data = [each for each in value.data.split("\\0") if each]
    elif value.kind == "REG_BINARY":
        data = value.data.lower()
    return {"type": value.kind, "data": data}


def _registry_wanted(thing: Thing) -> State:
    there = thing["data"] is not None
    return {"type": REG[thing["type"]] if there else None, "data": thing["data"]}


# ---- firewall


def _rules(name: str, told: Told) -> list[dict[str, tuple[str, ...]]]:
    found = [read.rule(each.data) for each in read.values(told("firewall")).values()]
    return [each for each in found if [text.lower() for text in each.get("Name", ())] == [name.lower()]]


def _firewall(thing: Thing, told: Told) -> State:
    ours = _rules(thing["name"], told)
    on = sum(1 for each in ours if each.get("Active") == ("TRUE",))
    first = (
        {name: shown for name, shown in ours[0].items() if name not in ("Name", "Desc", "EmbedCtxt")} if ours else {}
    )
    return {"rules": len(ours), "rules that are on": on, "tokens": first, "blocked by": _blocking(thing, told)}


def _blocking(thing: Thing, told: Told) -> list[str]:
    """Rules that are on and keep out what this one lets in: Block wins."""
    found: list[str] = []
    for each in read.values(told("firewall")).values():
        tokens = read.rule(each.data)
        ports = {*tokens.get("LPort", ()), *tokens.get("LPort2_10", ())}
        same = tokens.get("Protocol", _protocol(thing)) == _protocol(thing)
        hits = bool(ports & set(map(str, thing["ports"]))) or (not ports and "App" not in tokens)
        hits = hits or (bool(thing["program"]) and tokens.get("App", ("",))[0].lower() == thing["program"].lower())
        state = (tokens.get("Action"), tokens.get("Active"), tokens.get("Dir"))
        if state == (("Block",), ("TRUE",), (thing["direction"].capitalize(),)) and same and hits:
            found += tokens.get("Name", ("without a name",))
    return sorted(found)


def _protocol(thing: Thing) -> tuple[str, ...]:
    return {"tcp": ("6",), "udp": ("17",)}.get(thing["protocol"], ())


def _firewall_wanted(thing: Thing) -> State:
    if not thing["enabled"]:
        return {"rules that are on": 0}
    tokens = {
        "Action": (thing["action"].capitalize(),),
        "Active": ("TRUE",),
        "Dir": (thing["direction"].capitalize(),),
        "Protocol": _protocol(thing),
        "LPort": tuple(sorted(map(str, thing["ports"]))),
        "RA4": tuple(sorted(read.network(each) for each in thing["remote"] if ":" not in each)),
        "RA6": tuple(sorted(read.network(each) for each in thing["remote"] if ":" in each)),
        "App": (thing["program"],) if thing["program"] else (),
    }
    blocked: State = {"blocked by": []} if thing["action"] == "allow" else {}
    return {"rules": 1, "tokens": {name: values for name, values in tokens.items() if values}, **blocked}


# ---- services, features, power, installers


def _service(thing: Thing) -> dict[str, str]:
    name = thing["name"]
    return {
        f"service-{_label(name)}": f"sc queryex {quoted(name)}",
        f"start-{_label(name)}": _query(f"{SERVICES}\\{name}"),
    }


def _service_found(thing: Thing, told: Told) -> State:
    state = read.service_state(told(f"service-{_label(thing['name'])}"))
    values = read.values(told(f"start-{_label(thing['name'])}"))
    start = values["start"].data if "start" in values else None
    delayed = start == "0x2" and "delayedautostart" in values and int(values["delayedautostart"].data, 16) == 1
    return {"running": bool(state and state[0] == RUNNING), "start": start, "start is delayed": delayed}


def _service_wanted(thing: Thing) -> State:
    start = thing["start"]
    return {"running": thing["running"], "start": STARTS[start], "start is delayed": start == "delayed"}


def _feature(thing: Thing) -> dict[str, str]:
    asked = f"dism /English /Online /Get-FeatureInfo /FeatureName:{thing['name']}"
    return {f"feature-{_label(thing['name'])}": asked}


def _feature_found(thing: Thing, told: Told) -> State:
    state = read.feature(told(f"feature-{_label(thing['name'])}"))
    return {"state": "Disabled" if state == "Disabled with Payload Removed" else state}


def _power(thing: Thing) -> dict[str, str]:
    """The second also tells of settings that the machine's maker has hidden."""
    setting = f"SCHEME_CURRENT {SLEEP} {POWER[thing['name']]}"
    return {
        f"power-{thing['name']}": f"powercfg /query {setting}",
        f"hidden-{thing['name']}": f"powercfg /qh {setting}",
    }


def _power_found(thing: Thing, told: Told) -> State:
    """A machine that has no such setting never does it: as good as 0, which is never."""
    asked = [f"power-{thing['name']}", f"hidden-{thing['name']}"]
    seconds = next(filter(None, (read.power(told(each)) for each in asked)), None)
    if seconds is None and all(map(told.succeeded, asked)):
        return {name: 0 if thing[each] == 0 else None for name, each in SECONDS.items()}
    return dict(zip(SECONDS, seconds or (None, None), strict=True))


def _power_wanted(thing: Thing) -> State:
    return {name: thing[each] for name, each in SECONDS.items() if thing[each] is not None}


def _installer(thing: Thing) -> dict[str, str]:
    return {
        f"installed-{place}-{value}": _query(key, f" /s /v {value}")
        for place, key in UNINSTALL.items()
        for value in ("DisplayName", "DisplayVersion")
    }


def _installer_found(thing: Thing, told: Told) -> State:
    versions: dict[str, str] = {}
    names: list[str] = []
    for place in UNINSTALL:
        for key, values in read.registry(told(f"installed-{place}-DisplayVersion")).items():
            versions[key] = values.get("displayversion", read.Value("", "")).data
        for key, values in read.registry(told(f"installed-{place}-DisplayName")).items():
            if _is_called(thing["name"], values.get("displayname", read.Value("", "")).data):
                names.append(key)
    version = next((versions.get(key, "") for key in names), None)
    wanted = thing["version"]
    enough = bool(wanted and version and parse.version(version) >= parse.version(wanted))
    return {"installed": bool(names), "version": wanted if enough else version}


def _is_called(name: str, shown: str) -> bool:
    """Makers put a version behind the name, as in `7-Zip 24.08 (x64)`; behind any other word it is another program."""
    more = shown[len(name) :].lower()
    return shown[: len(name)].lower() == name.lower() and (not more or bool(re.match(r" (version )?v?[\d(]", more)))


KINDS: Mapping[str, Kind] = {
    "variables": Kind(_environment, _variable, _variable_wanted),
    "path_entries": Kind(_path_asked, _path, lambda _: {"there": True, "others left unread": False}),
    "registry_values": Kind(_registry, _registry_found, _registry_wanted),
    "firewall_rules": Kind(lambda _: {"firewall": _query(RULES)}, _firewall, _firewall_wanted),
    "system_services": Kind(_service, _service_found, _service_wanted),
    "features": Kind(_feature, _feature_found, lambda each: {"state": "Enabled" if each["enabled"] else "Disabled"}),
    "power": Kind(_power, _power_found, _power_wanted),
    "installers": Kind(
        _installer,
        _installer_found,
        lambda each: {"installed": True, **({"version": each["version"]} if each["version"] else {})},
    ),
}
