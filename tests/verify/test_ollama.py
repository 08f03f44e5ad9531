"""The engine: the declared version, under its own account, with the declared environment, on loopback only."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from . import expected, parse
from .each import each, ollama_variables, where
from .machine import Machine, Process, Service
from .saying import fail, must, must_be, shown

WANTED_SETTINGS = {"Restart": "always", "KillMode": "control-group", "DynamicUser": "yes"}


def service_of(machine: Machine) -> Service:
    return machine.service or fail(f"{machine.name}: there is no service ollama, wanted one that runs")


def engine_of(machine: Machine) -> Process:
    why = f"{machine.name}: nothing listens on Ollama's port: test_ollama_listens_on_loopback_only says so"
    return machine.engine or pytest.skip(why)


@where("ollama")
def test_ollama_serves_the_declared_version(machine: Machine, ollama: dict[str, Any]) -> None:
    reply = machine.ollama["version"]
    must(reply.status == 200, f"{machine.name}: Ollama's API gives {reply}, wanted its version")
    must_be(machine.name, "Ollama's version", reply.document["version"], ollama["release"]["version"])


@where("ollama")
def test_ollama_runs_and_starts_with_the_machine(machine: Machine, ollama: dict[str, Any]) -> None:
    service = service_of(machine)
    must(service.running, f"{machine.name}: service ollama is stopped, wanted running")
    must(service.enabled, f"{machine.name}: service ollama is not enabled, wanted started with the machine")


@where("ollama")
def test_ollama_is_the_service(machine: Machine, ollama: dict[str, Any]) -> None:
    """Whoever has the port must be the service: a second Ollama started by hand would have other settings."""
    engine = engine_of(machine)
    must(
        engine.pid == service_of(machine).pid,
        f"{machine.name}: port {ollama['port']} belongs to {engine.program} (pid {engine.pid}), wanted service ollama",
    )


@where("ollama")
def test_ollama_runs_the_program_that_is_there(machine: Machine, ollama: dict[str, Any]) -> None:
    must_be(
        machine.name,
        "the program that the running Ollama was started from",
        engine_of(machine).program,
        expected.ollama_program(machine.expected),
    )


@where("ollama")
def test_unit_is_not_edited(machine: Machine, ollama: dict[str, Any]) -> None:
    service = service_of(machine)
    must(not service.edits, f"{machine.name}: service ollama has {shown(service.edits)}, wanted no edits by hand")
    command = f"{expected.ollama_program(machine.expected)} serve"
    must_be(machine.name, "the command of service ollama", service.command, command)
    written = dict(each.partition("=")[::2] for each in shlex.split(service.settings["Environment"]))
    for name, value in expected.ollama_environment(machine.expected).items():
        must_be(machine.name, f"{name} in the definition of service ollama", written.get(name), str(value))
    for name, wanted in WANTED_SETTINGS.items():
        must_be(machine.name, f"{name} of service ollama", service.settings[name], wanted)


@each("variable", ollama_variables)
def test_running_ollama_has_the_variable(machine: Machine, variable: tuple[str, str]) -> None:
    name, wanted = variable
    must_be(machine.name, f"{name} of the running Ollama", engine_of(machine).environment.get(name), str(wanted))


@where("ollama")
def test_ollama_has_no_other_variables(machine: Machine, ollama: dict[str, Any]) -> None:
    declared = expected.ollama_environment(machine.expected)
    found = {name for name in engine_of(machine).environment if name.startswith("OLLAMA_")}
    must_be(machine.name, "undeclared variables of the running Ollama", found - set(declared), set())


@where("ollama")
def test_ollama_is_unprivileged(machine: Machine, ollama: dict[str, Any]) -> None:
    engine = engine_of(machine)
    must(not engine.privileged, f"{machine.name}: Ollama runs as {engine.account}, wanted an unprivileged account")


@where("ollama")
def test_ollama_listens_on_loopback_only(machine: Machine, ollama: dict[str, Any]) -> None:
    found = [each for each in machine.listeners if each.port == ollama["port"]]
    must(found, f"{machine.name}: nothing listens on port {ollama['port']}, wanted Ollama on 127.0.0.1")
    beyond = [str(each) for each in found if not parse.is_loopback(each.address)]
    must(not beyond, f"{machine.name}: {shown(beyond)}, wanted port {ollama['port']} on 127.0.0.1 only")
