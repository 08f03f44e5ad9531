"""How a test says what it found: one sentence that names machine, thing, found and wanted, and no traceback."""

from __future__ import annotations

from typing import NoReturn

import pytest


def fail(sentence: str) -> NoReturn:
    """End the test, red."""
    pytest.fail(sentence, pytrace=False)


def must(condition: object, sentence: str) -> None:
    """Red with that sentence unless the condition holds."""
    if not condition:
        fail(sentence)


def unless(cause: object, sentence: str) -> None:
    """Leave a test out when its cause is gone, which another test says in red: one trouble, one red."""
    if not cause:
        pytest.skip(sentence)


def must_be(machine: str, thing: str, found: object, wanted: object) -> None:
    """Red unless the thing is as wanted."""
    must(found == wanted, f"{machine}: {thing} is {shown(found)}, wanted {shown(wanted)}")


def must_hash(machine: str, path: str, found: str | None, wanted: str) -> None:
    """Red unless a file has that sha256; twelve digits are enough for a sentence."""
    words = f"sha256 {(found or 'none')[:12]}, wanted {wanted[:12]}"
    must(found == wanted, f"{machine}: {path} is not as it was put there: {words}")


def shown(value: object) -> str:
    """A value as a sentence shows it."""
    if value is None or value == "":
        return "absent"
    if isinstance(value, (set, frozenset, list, tuple)):
        ordered = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
        return ", ".join(map(str, ordered)) or "nothing"
    return str(value)
