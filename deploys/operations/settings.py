"""Settings that an operating system keeps: what was there before ours comes back when ours leaves the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyinfra.api.operation import OperationMeta

from deploys.operations.guarded import guard
from deploys.operations.resource import Found, Resource, wanted
from deploys.schema import Feature, PathEntry, Power, RegistryValue, SystemService, Variable

ABSENT = "(none)"


def variable(name: str, variable: Variable) -> OperationMeta:
    """Have the environment variable hold its value, raw, or not be there. What runs already keeps what it had."""

    def differs(found: Found) -> str | None:
        if found is None or variable.value is None:
            return _there_or_not(found, variable.value)
        if found["value"] != variable.value:
            return "value differs"
        filled_in = found["expands"] or "%" not in variable.value
        return None if filled_in else "its %NAMES% are not filled in by those who read it"

    def difference(found: Found) -> str:
        return _before_after(found and found["value"], variable.value)

    return _setting(name, "variable", variable.id, differs, {"value": variable.value}, difference=difference)


def path_entry(name: str, entry: PathEntry) -> OperationMeta:
    """Have programs of that directory found by name. One that was there before us stays when ours leaves the data."""

    def differs(found: Found) -> str | None:
        return "missing" if found is None else None

    return _setting(name, "path_entry", entry.id, differs, {})


def registry_value(name: str, value: RegistryValue) -> OperationMeta:
    """Have one value of the registry, with its type, or have it not be there; of the way in: see `guarded`."""
    data = list(value.data) if isinstance(value.data, tuple) else value.data

    def differs(found: Found) -> str | None:
        if found is None or data is None:
            return _there_or_not(found, data)
        if found["type"] != value.type:
            return f"is a {found['type']}, not a {value.type}"
        return None if found["data"] == data else "value differs"

    def difference(found: Found) -> str:
        return _before_after(found and found["data"], data)

    request = {"type": value.type, "data": data}
    protection = guard() if value.way_in else None
    return _setting(name, "registry_value", value.name, differs, request, difference=difference, guard=protection)


def power(name: str, power: Power) -> OperationMeta:
    """Have the machine sleep or hibernate after that many idle seconds, 0 being never; it may be unable to anyway."""
    request = {"plugged_s": power.plugged_s, "battery_s": power.battery_s}

    def wrong(found: Mapping[str, Any]) -> list[str]:
        return [key for key, value in request.items() if value is not None and found[key] != value]

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing" if any(request.values()) else None
        spoken = [f"{'never' if found[key] == 0 else f'after {found[key]} s'} ({key[:-2]})" for key in wrong(found)]
        return f"happens {', '.join(spoken)}" if spoken else None

    def difference(found: Found) -> str:
        there = found or {}
        return "\n".join(_before_after(f"{key}: {there[key]}", f"{key}: {request[key]}") for key in wrong(there))

    return _setting(name, "power", power.name, differs, request, difference=difference)


def feature(name: str, feature: Feature) -> OperationMeta:
    """Have a part of the system switched on or off. Never restarts: see `reboot.when_pending`."""

    def differs(found: Found) -> str | None:
        return None if found and found["enabled"] is feature.enabled else f"is {'off' if feature.enabled else 'on'}"

    return _setting(name, "feature", feature.name, differs, {"enabled": feature.enabled}, job=True)


def system_service(name: str, service: SystemService) -> OperationMeta:
    """Have a service that is there already start as said, and run or not. It is never installed, never removed."""
    request = {"start": service.start, "running": service.running}

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing"
        if found["start"] != service.start:
            return f"starts {found['start']}, not {service.start}"
        return None if found["running"] is service.running else ("not running" if service.running else "runs")

    return _setting(name, "windows_service", service.name, differs, request)


def _setting(
    name: str, kind: str, id: str, differs: Callable[[Found], str | None], request: Mapping[str, Any], **more: Any
) -> OperationMeta:
    """`more`: of Resource. Ensured even when it is right already: so the machine keeps what it had before us."""
    return wanted(name, Resource(kind, id, differs, lambda: request, when_right="ensure", **more))


def _there_or_not(found: Found, value: object) -> str | None:
    """For what must not be there, or is not."""
    if value is None:
        return "must not be there" if found else None
    return "missing"


def _before_after(there: object, value: object) -> str:
    """Two lines for the plan."""
    return f"-{ABSENT if there is None else there}\n+{ABSENT if value is None else value}"
