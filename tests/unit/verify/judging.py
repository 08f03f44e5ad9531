"""Every check of tests/verify on one machine that was looked at: which are red, and which were not asked."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.verify.litellm_config import Config, parsed
from tests.verify.machine import Machine
from tests.verify.neighbour import Neighbour

ROOT = Path(__file__).parents[2] / "verify"


class Subtests:
    """As pytest's, but the first red one is the test's."""

    @contextlib.contextmanager
    def test(self, _: str) -> Iterator[None]:
        yield


class Verdict:
    """{label of a check: its sentence} of the red ones and of those not asked; `green`: the rest."""

    def __init__(self) -> None:
        self.red: dict[str, str] = {}
        self.not_asked: dict[str, str] = {}
        self.green: set[str] = set()

    @property
    def names(self) -> set[str]:
        """The tests that are red, without their things."""
        return {label.partition("[")[0] for label in self.red}


def judged(machine: Machine, neighbour: Neighbour) -> Verdict:
    """Run every check, each for each of its things."""
    verdict = Verdict()
    for path in sorted(ROOT.glob("test_*.py")):
        module = importlib.import_module(f"tests.verify.{path.stem}")
        for name, function in vars(module).items():
            if name.startswith("test_") and "machine" in inspect.signature(function).parameters:
                for label, values in _cases(function, machine):
                    _run(f"{name}{label}", function, {**values, "machine": machine}, neighbour, verdict)
    return verdict


def _cases(function: Any, machine: Machine) -> list[tuple[str, dict[str, Any]]]:
    marks = [each for each in getattr(function, "pytestmark", []) if each.name == "each"]
    if not marks:
        return [("", {})]
    name, things = marks[0].args
    return [(f"[{label}]" if label else "", {name: thing}) for label, thing in things(machine.expected)]


def _run(label: str, function: Any, values: Mapping[str, Any], neighbour: Neighbour, verdict: Verdict) -> None:
    machine = values["machine"]
    fixtures: dict[str, Any] = {
        "neighbour": lambda: neighbour,
        "subtests": Subtests,
        "config": lambda: _config(machine),
    }
    try:
        more = {name: fixtures[name]() for name in inspect.signature(function).parameters if name not in values}
        function(**values, **more)
    except pytest.fail.Exception as problem:
        verdict.red[label] = str(problem.msg)
    except pytest.skip.Exception as problem:
        verdict.not_asked[label] = str(problem.msg)
    else:
        verdict.green.add(label)


def _config(machine: Machine) -> Config:
    text = parsed(machine.config)
    return Config(text) if text else pytest.skip("there is no configuration")
