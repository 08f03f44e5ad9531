"""The program that asks: the one of this checkout, for everybody. (Its settings and modes: test_integrity.)"""

from __future__ import annotations

import hashlib
from typing import Any

from . import desk
from .each import where
from .machine import Machine
from .saying import fail, must_hash


@where("brain")
def test_program_is_that_of_this_checkout(machine: Machine, brain: dict[str, Any]) -> None:
    found = machine.files.get(brain["program"]) or fail(f"{machine.name}: {brain['program']} is absent, wanted brain")
    wanted = hashlib.sha256((desk.ROOT / "scripts" / "brain").read_bytes()).hexdigest()
    must_hash(machine.name, brain["program"], found.sha256, wanted)
