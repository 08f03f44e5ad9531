"""A machine for each test: on Linux the stand-in; on Windows itself the stand-ins' own tests are left out."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .benches import Bench, StandInBench, WindowsBench

if sys.platform == "win32":
    collect_ignore_glob = ["test_standin_*.py"]

    @pytest.fixture
    def bench() -> Iterator[Bench]:
        """This very machine."""
        made = WindowsBench()
        yield made
        made.close()

else:
    from .standin.machine import Machine
    from .standin.python import World

    @pytest.fixture(params=["en", "de"])
    def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
        """Every test meets an English and a German machine."""
        made = Machine(tmp_path, seed=random.Random(request.node.name).randrange(1 << 30), language=request.param)
        yield made
        made.close()

    @pytest.fixture
    def world(machine: Machine) -> Iterator[World]:
        """A Python on it, in this test's own thread."""
        made = World(machine, machine.process(), [r"C:\ProgramData\ssh\llm-harness\agent-0.pyz"])
        yield made
        made.finish()

    @pytest.fixture
    def bench(machine: Machine, world: World) -> Bench:
        """The stand-in machine."""
        return StandInBench(machine, world)
