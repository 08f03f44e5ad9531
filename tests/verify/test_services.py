"""Services of ours: running, started with the machine, defined exactly so, under an account of their own."""

from __future__ import annotations

import pytest

from .each import each, services, services_with_secrets
from .expected import WantedService
from .machine import Machine, Process, Service
from .saying import fail, must, must_be, shown


def service_of(machine: Machine, wanted: WantedService) -> Service:
    found = machine.services.get(wanted.name)
    return found or fail(f"{machine.name}: there is no service {wanted.name}, wanted one that runs")


def owner_of(machine: Machine, wanted: WantedService) -> Process:
    found = machine.owners.get(wanted.name)
    return found or fail(f"{machine.name}: nothing listens on port {wanted.port}, wanted service {wanted.name}")


@each("service", services)
def test_service_runs_and_starts_with_the_machine(machine: Machine, service: WantedService) -> None:
    found = service_of(machine, service)
    must(found.running, f"{machine.name}: service {service.name} is stopped, wanted running")
    must(found.enabled, f"{machine.name}: service {service.name} is not enabled, wanted started with the machine")


@each("service", services)
def test_service_is_defined_so_and_not_edited(machine: Machine, service: WantedService) -> None:
    """Everything that its definition says, and nothing else."""
    found, wanted = service_of(machine, service), machine.definition_of(service)
    must(not found.edits, f"{machine.name}: service {service.name} has {shown(found.edits)}, wanted no edits by hand")
    for name in sorted(found.definition.keys() | wanted.keys()):
        thing = f"{name} in the definition of service {service.name}"
        must_be(machine.name, thing, found.definition.get(name), wanted.get(name))


@each("service", services_with_secrets)
def test_service_has_the_secrets_of_today(machine: Machine, service: WantedService) -> None:
    """Where a service reads a copy of its secrets, that is the same as the file it was made of."""
    copy = machine.copies.get(service.name)
    if copy is None:
        pytest.skip(f"{machine.name}: service {service.name} reads the file itself")
    must(
        copy[0] == copy[1],
        f"{machine.name}: the secrets that service {service.name} reads are not those of {service.secrets}, "
        "wanted the same: converge it",
    )


@each("service", services)
def test_port_belongs_to_the_service(machine: Machine, service: WantedService) -> None:
    """Whoever has the port must be the service: another of its kind, started by hand, would have other settings."""
    owner = owner_of(machine, service)
    must(
        owner.pid in service_of(machine, service).pids,
        f"{machine.name}: port {service.port} belongs to {owner.program} (pid {owner.pid}, {owner.account}), "
        f"wanted service {service.name}",
    )


@each("service", services)
def test_service_has_its_variables(machine: Machine, service: WantedService) -> None:
    """What the running process has, whatever its definition says by now."""
    environment = owner_of(machine, service).environment
    if environment is None:
        pytest.skip(f"{machine.name}: its system tells nobody the variables of a process, only those of the definition")
    for name, value in service.environment.items():
        thing = f"{name} of the running {service.name}"
        must_be(machine.name, thing, environment.get(name), str(value))
    prefixes = tuple({f"{name.partition('_')[0]}_" for name in service.environment if "_" in name})
    extra = {name for name in environment if name.startswith(prefixes)} - set(service.environment)
    must_be(machine.name, f"undeclared variables of the running {service.name}", extra, set())


@each("service", services)
def test_service_is_unprivileged(machine: Machine, service: WantedService) -> None:
    owner = owner_of(machine, service)
    allowed = service.account == "system"
    must(
        allowed or not owner.privileged,
        f"{machine.name}: {service.name} runs as {owner.account}, wanted an unprivileged account",
    )
