"""Which things of a machine's data a test is about: `@each("model", models)` runs it for every model of every machine.

A list that is empty for every machine shows as one skipped test, so that nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from . import desk, expected, expected_linux, expected_windows
from .desk import Expected
from .machine import Question

Things = Callable[[Expected], Iterable[tuple[str, Any]]]


def each(name: str, things: Things) -> pytest.MarkDecorator:
    """Run the test for each thing; it takes the thing as argument `name`."""
    return pytest.mark.each(name, things)


def where(name: str) -> pytest.MarkDecorator:
    """Run the test for each machine whose data has `name`; it takes that part of the data as argument `name`."""
    return pytest.mark.each(name, lambda machine: [("", machine[name])] if name in machine else [])


def things_of(things: Things, machine: Expected) -> list[tuple[str, Any]]:
    """[(label, thing)] of that machine."""
    return list(things(machine))


def ssh_settings(machine: Expected) -> Iterable[tuple[str, Any]]:
    settings = machine["ssh"]["settings"] if "ssh" in machine else {}
    return [(name, (name, value)) for name, value in settings.items()]


def ollama_variables(machine: Expected) -> Iterable[tuple[str, Any]]:
    variables = expected.ollama_environment(machine) if "ollama" in machine else {}
    return [(name, (name, value)) for name, value in variables.items()]


def models(machine: Expected) -> Iterable[tuple[str, Any]]:
    return [(each["tag"], each) for each in machine.data.get("models", [])]


def resident_models(machine: Expected) -> Iterable[tuple[str, Any]]:
    return [(each["tag"], each) for each in machine.data.get("models", []) if each["resident"]]


def files(machine: Expected) -> Iterable[tuple[str, Any]]:
    system = expected_windows if "windows" in machine.groups else expected_linux
    return [(each.path, each) for each in system.files(machine)]


def services(machine: Expected) -> Iterable[tuple[str, Any]]:
    return [(each.name, each) for each in expected.services(machine)]


def services_with_secrets(machine: Expected) -> Iterable[tuple[str, Any]]:
    return [(each.name, each) for each in expected.services(machine) if each.secrets]


def gateway_containers(machine: Expected) -> Iterable[tuple[str, Any]]:
    return [("", machine["gateway"])] if expected.in_container(machine) else []


THINGS: tuple[str, ...] = ("variables", "path_entries", "registry_values", "firewall_rules", "system_services")
THINGS += ("features", "power", "installers", "tasks")


def things(machine: Expected) -> Iterable[tuple[str, Any]]:
    """(kind, thing) of every thing of the system's own that the data names."""
    for kind in THINGS:
        for each in expected.things(machine, kind):
            scope = f"{each['scope']}-" if "scope" in each else ""
            yield f"{kind}-{scope}{each.get('name') or each.get('directory')}", (kind, each)


def wiring(machine: Expected) -> expected.Wanted:
    """The wiring of a machine's gateway, as the desk's secrets allow it."""
    return expected.wiring(machine, desk.inventory(), desk.secret)


def deployments(machine: Expected) -> Iterable[tuple[str, Any]]:
    return list(wiring(machine).deployments.items()) if "gateway" in machine else []


def routes(machine: Expected) -> Iterable[tuple[str, Any]]:
    """(route, its fallbacks) of every route that is there."""
    if "gateway" not in machine:
        return []
    wanted = wiring(machine)
    names = [each["name"] for each in machine.data.get("routes", []) if each["name"] in wanted.deployments]
    return [(name, (name, wanted.fallbacks.get(name, []))) for name in names]


def private_routes(machine: Expected) -> Iterable[tuple[str, Any]]:
    there = dict(routes(machine))
    return [(name, name) for name in expected.private_routes(machine) if name in there]


def questions(machine: Expected) -> Iterable[tuple[str, Any]]:
    """What a client asks its gateway: (route, whole or streamed)."""
    door = expected.door_of(machine, desk.inventory()) if "brain" in machine else None
    for route in expected.private_routes(door) if door else []:
        yield f"{route}-whole", Question(route, stream=False)
        yield f"{route}-streamed", Question(route, stream=True)


def ports(machine: Expected) -> Iterable[tuple[str, Any]]:
    """Our ports, those of other machines too: none may be open to the LAN anywhere."""
    return [(str(port), port) for port in expected.our_ports(desk.inventory())]


def secrets(machine: Expected) -> Iterable[tuple[str, Any]]:
    return [(name, name) for name in desk.secret_names()]
