"""A machine thrown away comes back from nothing, by the same three commands; what others have on it stays.

`make rebuild` itself takes nothing away: it waits for SSH, converges and verifies. So another project that is there
before it, on a bare machine as on one that runs, is there after it, byte for byte. What a new disk has lost, its owner
brings back.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from .conftest import Desk, Machine
from .neighbours import Neighbour, assert_untouched


def test_apex_from_nothing(desk: Desk, apex: Machine, lab: dict[str, Any]) -> None:
    subprocess.run(["docker", "rm", "--force", "--volumes", apex.container], check=True, capture_output=True)
    up = subprocess.run([sys.executable, "-m", "tests.lab", "up"], cwd=desk.checkout, stdin=subprocess.DEVNULL)
    assert up.returncode == 0
    assert apex.sh_at("ls -d {} {}", "agent", "ollama", check=False) == "", "it is bare"
    neighbour = Neighbour(apex, lab["machines"]["apex"]["lan_ip"])
    neighbour.arrive(contained=not apex.windows)  # a bare Windows has no Docker yet
    before = neighbour.snapshot()
    _rebuilt(desk)
    assert_untouched(before, neighbour.snapshot())
    assert desk.run("plan").code == 0
    assert desk.run("verify", "HOST=g16").code == 0

    if apex.windows:
        neighbour.bring_container()
    before = neighbour.snapshot()
    _rebuilt(desk)  # once more, where all of it is there already
    assert_untouched(before, neighbour.snapshot())
    neighbour.leave()


def _rebuilt(desk: Desk) -> None:
    ran = desk.run("rebuild", "HOST=apex")
    assert ran.code == 0, ran.out
    assert "apex: rebuilt and verified" in ran.out
