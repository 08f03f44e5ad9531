"""A shell on one machine, or one command there. The exit code is the command's."""

from __future__ import annotations

import os
import sys

from scripts.desk import machines, road
from scripts.desk.desk import Desk, Wish


def run(desk: Desk, wish: Wish) -> int:
    """Becomes ssh itself: its terminal, its signals, its exit code."""
    line = road.command(machines.one(desk, wish, "ssh"))
    sys.stdout.flush()
    os.execvp(line[0], [*line, *([wish.command] if wish.command else [])])  # noqa: S606
