"""What a machine remembers when its power goes: registry, tasks, access, rules, services. Written whole, or not."""

from __future__ import annotations

import contextlib
import pickle
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .processes import FIRST_MOMENT
from .scheduler import Task
from .tools import CBS

if TYPE_CHECKING:
    from .machine import Machine

EPOCH_1601 = 116_444_736_000_000_000  # 1970 in 100 ns since 1601
SIMPLE = (
    "language",
    "oem",
    "elevated",
    "restore_privilege",
    "battery",
    "boots",
    "accounts",
    "profile_line",
    "internet",
    "person",
)
TOOLS = (
    "features",
    "power",
    "wsl",
    "wsl_missing_code",
    "cards",
    "old_certutil",
    "eight_bit_codes",
    "schtasks_encoding",
)


class Keeper:
    """`save` writes when something changed; `load` gives it all back to a machine that was just built."""

    def __init__(self, machine: Machine, path: Path) -> None:
        self.machine, self.path = machine, path
        self.last = b""
        self.lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        machine = self.machine
        tasks = {
            key: (each.path, each.node, each.last, each.ran) for key, each in list(machine.scheduler.tasks.items())
        }
        return {
            "simple": {name: getattr(machine, name) for name in SIMPLE},
            "tools": {name: getattr(machine.tools, name) for name in TOOLS if hasattr(machine.tools, name)},
            "registry": machine.registry.root,
            "descriptors": dict(machine.drive.descriptors),
            "tasks": tasks,
            "folders": sorted(machine.scheduler.folders),
            "services": dict(machine.services.known),
            "rules": dict(machine.firewall.given),
            "locked": sorted(machine.drive.locked),
        }

    def save(self) -> None:
        with self.lock, contextlib.suppress(RuntimeError):  # somebody writes just now: the next time, then
            content = pickle.dumps(self.state())
            if content == self.last:
                return
            beside = self.path.with_name(self.path.name + ".new")
            beside.write_bytes(content)
            beside.replace(self.path)
            self.last = content

    def load(self) -> bool:
        """Whether there was something."""
        if not self.path.exists():
            return False
        machine, state = self.machine, pickle.loads(self.path.read_bytes())
        for name, value in state["simple"].items():
            setattr(machine, name, value)
        for name, value in state["tools"].items():
            setattr(machine.tools, name, value)
        machine.registry.root = state["registry"]
        machine.drive.descriptors = state["descriptors"]
        for key, (path, node, last, ran) in state["tasks"].items():
            machine.scheduler.tasks[key] = Task(path, node, last, ran)
        machine.scheduler.folders = set(state["folders"])
        machine.services.known = state["services"]
        machine.firewall.given = state["rules"]
        machine.boots += 1
        return True


def boot(machine: Machine) -> None:
    """The moment of the boot is now, as the clock on the wall says; then services, then what starts with it."""
    for each in list(machine.processes.all.values()):
        machine.processes.end(each, 1)
    machine.processes.all.clear()
    machine.processes.reuse.clear()
    machine.processes.clock = max(FIRST_MOMENT, EPOCH_1601 + time.time_ns() // 100)
    for name, state in machine.tools.features.items():
        machine.tools.features[name] = {"Enable Pending": "Enabled"}.get(state, state)
    machine.registry.delete_key(rf"{CBS}\RebootPending")
    machine.processes.booted()
    machine.services.boot()
    machine.block = machine.environment_now()
