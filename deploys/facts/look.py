"""What we know of each machine in this run: one look, taken once, renewed by the answers of our own changes.

Operations enter their identities when they are called, which in a `-y` run is before any of them runs; so the first
look asks for all of them, and a converge that changes nothing is one exec a machine, however much it manages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from pyinfra.api import Host

from deploys.facts import link, report

State = dict[str, Any]
Identity = tuple[str, str]  # kind, id

WRONG_SHELL = (
    "its DefaultShell is {}, which changes what commands say and how they end: set cmd.exe there with "
    r"`reg delete HKLM\SOFTWARE\OpenSSH /v DefaultShell /f`"
)


@dataclass
class Machine:
    """All that one run knows of one machine."""

    asked: dict[Identity, State] = field(default_factory=dict)
    declared: dict[Identity, State] = field(default_factory=dict)
    changing: set[Identity] = field(default_factory=set)  # what this run changes, or would change
    seen: dict[Identity, State | None] = field(default_factory=dict)
    itself: State | None = None
    manifest: list[Identity] = field(default_factory=list)
    programs: set[str] = field(default_factory=set)


_machines: WeakKeyDictionary[Host, Machine] = WeakKeyDictionary()


def known(host: Host) -> Machine:
    """What this run knows of `host`; never asks the machine."""
    return _machines.setdefault(host, Machine())


def declare(host: Host, kind: str, name: str, spec: Mapping[str, Any], **wanted: Any) -> None:
    """Enter a resource that the data wants: what to look for, and what others may need to know of it."""
    machine = known(host)
    machine.asked[kind, name] = dict(spec)
    machine.declared[kind, name] = wanted


def look(host: Host) -> Machine:
    """Ask the machine for everything declared so far and everything that its manifest names."""
    machine = known(host)
    asked = [[kind, name, spec] for (kind, name), spec in machine.asked.items()]
    answer = link.ask(host, "look", {"asked": asked, "programs": sorted(machine.programs)})
    machine.itself = answer["machine"]
    machine.manifest = [(kind, name) for kind, name in answer["manifest"]]
    renew(host, answer["state"])
    shell = answer["machine"].get("default_shell")
    if shell and not shell.lower().endswith("\\cmd.exe"):
        report.note(host, f"{host.name}: {WRONG_SHELL.format(shell)}")
    return machine


def renew(host: Host, state: Mapping[str, Mapping[str, State | None]]) -> None:
    """Take over what a look or a change says of resources."""
    machine = known(host)
    for kind, resources in state.items():
        for name, found in resources.items():
            machine.seen[kind, name] = found


def itself(host: Host) -> State:
    """The machine: {"os", "hostname", "python", "gpus", "tailnet", "programs"}."""
    machine = known(host)
    if machine.itself is None:
        look(host)
    assert machine.itself is not None
    return machine.itself


def state_of(host: Host, kind: str, name: str) -> State | None:
    """A resource as it is. Asks again only for one that no look has covered. Raises link.Failed when it is hidden."""
    machine = known(host)
    if (kind, name) not in machine.seen:
        look(host)
    found = machine.seen[kind, name]
    if found and "unknown" in found:
        raise link.Failed(found["unknown"])
    return found


def sha256_wanted(host: Host, path: str) -> str:
    """The sha256 that this run declared for a file, or for the release or environment in a directory."""
    declared = known(host).declared
    return str(next(declared[kind, path]["sha256"] for kind in ("file", "release", "venv") if (kind, path) in declared))
