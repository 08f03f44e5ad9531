"""How a part of the way in was before a change, whole, and how it becomes so again."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from ..errors import Refused
from ..patience import discard
from ..system import State, System, no_progress


def matters(kinds: dict[str, Any], request: State) -> bool:
    """Whether a change can shut anybody out: a file that keeps its bytes, or a value, is read as before."""
    kind, name = request["kind"], request["id"]
    if request["verb"] == "ensure" and kind == "file":
        present = kinds["file"].state(name)
        return present is None or bool(present["sha256"] != request["sha256"])
    if request["verb"] == "ensure" and kind == "registry_value":
        wanted = {key: request[key] for key in ("type", "data")}
        return bool(kinds[kind].look({name: {}})[name] != (None if request["data"] is None else wanted))
    return True


def former(system: System, kind: str, name: str, kinds: dict[str, Any]) -> Any:
    """All that `put_back` needs, ready for JSON; None when it is absent. A service needs no more than its files."""
    if kind == "file":
        return _file(system, name)
    if kind == "firewall_rule":
        return _rules(name)
    if kind in ("serve", "registry_value"):
        return kinds[kind].look({name: {}})[name]
    return None


def put_back(system: System, kind: str, name: str, kinds: dict[str, Any], before: Any) -> None:
    """Make it as it was; nothing happens where it is so. Raises Refused or OSError."""
    if kind == "service" or former(system, kind, name, kinds) == before:
        return
    if kind == "firewall_rule":
        _put_back_rules(name, before)
    elif kind == "registry_value":
        kinds[kind].put(name, before)
    elif before is None and kind == "file":
        discard(name)
    elif before is None:
        kinds[kind].remove({"id": name}, no_progress)
    elif kind == "file":
        kinds["file"].home.remember("file", name, unproven=True)  # what is there now must not be kept as a good one
        kinds["file"].ensure({"id": name, **before}, no_progress)
    else:
        kinds[kind].ensure({"id": name, **before}, no_progress)


def _file(system: System, path: str) -> Any:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return {
        "content": base64.b64encode(content).decode(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "access": system.access_of(path),
    }


def _rules(name: str) -> Any:
    """Every rule of that name, whoever made it; equal names are allowed."""
    from ..windows.firewallrules import everything

    found = [each for each in everything() if each["name"].lower() == name.lower()]
    return sorted(found, key=lambda each: sorted((key, str(value)) for key, value in each.items()))


def _put_back_rules(name: str, before: list[State]) -> None:
    """Switched on or off again where no more is needed: a rule of Windows' own cannot be written anew as it was."""
    from ..windows.firewallrules import netsh
    from ..windows.rules import arguments

    now = _rules(name)
    if now and _but_for_enabled(now) == _but_for_enabled(before) and len({each["enabled"] for each in before}) == 1:
        netsh("set", f"name={name}", "new", f"enable={'yes' if before[0]['enabled'] else 'no'}")
    else:
        if now:
            netsh("delete", f"name={name}")
        for each in before:
            netsh("add", f"name={name}", *arguments(each))
    if _rules(name) != before:
        raise Refused(f"put back firewall rule {name}", "Windows keeps another one", "see that rule on the machine")


def _but_for_enabled(rules: list[State]) -> list[State]:
    return [{key: value for key, value in each.items() if key != "enabled"} for each in rules]
