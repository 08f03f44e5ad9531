"""The engine: the declared version, the program of that version, on loopback only."""

from __future__ import annotations

import ntpath
from typing import Any

import pytest

from . import expected, parse
from .each import where
from .machine import Machine
from .saying import must, must_be, shown


@where("ollama")
def test_ollama_serves_the_declared_version(machine: Machine, ollama: dict[str, Any]) -> None:
    reply = machine.ollama["version"]
    must(reply.status == 200, f"{machine.name}: Ollama's API gives {reply}, wanted its version")
    must_be(machine.name, "Ollama's version", reply.at("version"), ollama["release"]["version"])


@where("ollama")
def test_ollama_runs_the_program_that_is_there(machine: Machine, ollama: dict[str, Any]) -> None:
    engine = machine.owners.get(ollama["service"])
    if not engine:
        pytest.skip(f"{machine.name}: nothing listens on Ollama's port: test_ollama_listens_on_loopback_only says so")
    program = expected.ollama_program(machine.expected)
    wanted = program if engine.whole else ntpath.basename(program)
    must_be(machine.name, "the program that the running Ollama was started from", engine.program, wanted)


@where("ollama")
def test_ollama_listens_on_loopback_only(machine: Machine, ollama: dict[str, Any]) -> None:
    found = [each for each in machine.listeners if each.port == ollama["port"]]
    must(found, f"{machine.name}: nothing listens on port {ollama['port']}, wanted Ollama on 127.0.0.1")
    beyond = [str(each) for each in found if not parse.is_loopback(each.address)]
    must(not beyond, f"{machine.name}: {shown(beyond)}, wanted port {ollama['port']} on 127.0.0.1 only")
