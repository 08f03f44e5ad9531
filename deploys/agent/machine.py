"""What a machine is: its system, Python, graphics cards, tailnet, and which programs it has."""

from __future__ import annotations

import sys
from typing import Sequence

from .kinds import tailnet
from .programs import find, run
from .system import State, System


def look(system: System, programs: Sequence[str]) -> State:
    """Everything about the machine itself that roles decide by."""
    return {
        **system.describe(),
        **system.particulars(),
        "python": ".".join(map(str, sys.version_info[:3])),
        "gpus": gpus(),
        "tailnet": tailnet.look(),
        "programs": {name: find(name) is not None for name in programs},
    }


def gpus() -> list[State]:
    """[{"name", "vram_gb"}] of NVIDIA cards; empty where there is none, or no driver."""
    program = find("nvidia-smi")
    if not program:
        return []
    done = run([program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"], timeout_s=30)
    cards = []
    for line in done.out.splitlines() if done.code == 0 else ():
        name, _, mib = line.rpartition(",")
        if mib.strip().isdigit():  # "[N/A]" on a card that shares the machine's memory
            cards.append({"name": name.strip(), "vram_gb": round(int(mib) / 1024, 1)})
    return cards
