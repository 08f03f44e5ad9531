"""Remove every trace of the lab."""

from __future__ import annotations

from scripts.desk.desk import Desk, Wish
from scripts.desk.lab import lab_command


def run(desk: Desk, _wish: Wish) -> int:
    return lab_command(desk, "down")
