"""Every machine can be asked at all."""

from __future__ import annotations

import pytest

from .conftest import Seen
from .saying import must


def test_machine_answers(machine_name: str, seen: Seen) -> None:
    if machine_name in seen.unknown:
        pytest.skip(seen.unknown[machine_name])
    must(machine_name not in seen.unreachable, seen.unreachable.get(machine_name, ""))
