"""The secrets of a service on Windows: it and administrators read them, and nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from .benches import StandInBench, until
from .standin import security
from .standin.machine import Machine
from .standin.processes import Process

SERVICE, SECRET = "litellm", r"C:\litellm\gateway.env"
HANDED = rf"\services\{SERVICE}\secrets"


@pytest.fixture
def system(bench: StandInBench) -> Any:
    return bench.load("windows.system").Windows()


@pytest.fixture
def spec(bench: StandInBench, system: Any) -> dict[str, Any]:
    bench.write(SECRET, b"KEY=first\n")
    system.grant(SECRET, "administrators")
    return {
        "name": SERVICE,
        "description": "the gateway",
        "account": "own",
        "state": r"C:\ProgramData\LiteLLM",
        "environment": {},
        "secrets": SECRET,
        "command": bench.command("environment"),
    }


def look(system: Any) -> Any:
    return system.services([{"name": SERVICE, "command": ["x"]}])[SERVICE]


def test_the_service_alone_gets_them(bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine) -> None:
    seen: list[tuple[frozenset[str], str]] = []

    def program(process: Process) -> int:
        seen.append((process.sids, process.environment["SECRETS_FILE"]))
        return process.live()

    machine.processes.install(r"C:\work\environment.exe", program)
    system.define_service(spec)
    system.start_service(SERVICE)
    until(lambda: seen)
    ((sids, place),) = seen
    assert place == bench.home + HANDED
    handed = machine.drive.descriptor(place)
    assert bench.read(place) == b"KEY=first\n"
    assert security.allows(handed, sids, security.READ)
    for others in (frozenset({"S-1-1-0", "S-1-5-32-545"}), machine.token(security.LOCAL_SERVICE)):
        assert not security.allows(handed, others, security.READ), "no other user, and no other service of ours"
    assert not security.allows(machine.drive.descriptor(rf"{bench.home}\services\{SERVICE}"), sids, security.ADD_FILE)
    assert not security.allows(machine.drive.descriptor(SECRET), sids, security.READ), "the file itself stays closed"
    assert look(system)["intact"]
    assert look(system)["spec"]["secrets"] == SECRET


def test_they_are_as_old_as_its_start(bench: StandInBench, system: Any, spec: dict[str, Any]) -> None:
    system.define_service(spec)
    system.start_service(SERVICE)
    bench.write(SECRET, b"KEY=second\n")
    assert not look(system)["intact"]
    system.start_service(SERVICE)
    assert bench.read(bench.home + HANDED) == b"KEY=second\n"
    assert look(system)["intact"]


def test_they_come_back_with_the_machine_and_leave_with_the_service(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine
) -> None:
    system.define_service(spec)
    system.start_service(SERVICE)
    machine.reboot()
    until(lambda: look(system)["running"])
    assert look(system)["intact"]
    system.remove_service(SERVICE)
    assert not bench.exists(bench.home + HANDED)
    assert bench.read(SECRET) == b"KEY=first\n"
