"""The lab's machines, in the same shape as the real ones. Where they are, `make lab` wrote down."""

import json
import os
from pathlib import Path

from deploys.schema import Nonsense

NAME = os.environ.get("LAB_NAME", "lab")
STATE = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "llm-harness" / NAME

if not (STATE / "lab.json").exists():
    raise Nonsense(f"lab {NAME!r} is not running: make lab")

lab = json.loads((STATE / "lab.json").read_text())


def _machine(name: str) -> list[tuple[str, dict[str, str]]]:
    """SSH takes the lab's own road, through the tailnet of its desk; the rest of the data knows of no lab."""
    return [(name, {"ssh_config_file": lab["ssh_config"], "ssh_user": lab["machines"][name].get("user", "desk")})]


apex = _machine("apex")
g16 = _machine("g16")

windows = [name for name, machine in lab["machines"].items() if machine.get("os") == "windows"]
linux = [name for name in lab["machines"] if name not in windows]

__all__ = ["apex", "g16", "linux", "windows"]
