"""A machine for the tests that need another system than this one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.windows.standin.machine import Machine
from tests.windows.standin.python import World

from .elsewhere import HOME, Elsewhere, elsewhere


@pytest.fixture
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Elsewhere]:
    machine = Machine(tmp_path, seed=random.Random(request.node.name).randrange(1 << 30))
    world = World(machine, machine.process(), [HOME + r"\agent-0.pyz"])
    with elsewhere(tmp_path, machine, world) as made:
        yield made
    world.finish()
    machine.close()
