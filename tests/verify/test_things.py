"""What the data asks of the system itself: variables, rules, tasks, services, features, power, programs."""

from __future__ import annotations

from typing import Any

from .each import each, things
from .machine import Machine
from .saying import must_be


@each("thing", things)
def test_thing_is_as_declared(machine: Machine, thing: tuple[str, dict[str, Any]]) -> None:
    kind, declared = thing
    label = f"{declared.get('name') or declared.get('directory')} of {kind}"
    found, wanted = machine.thing(kind, declared)
    for name in sorted(wanted):
        must_be(machine.name, f"{name} ({label})", found.get(name), wanted[name])
