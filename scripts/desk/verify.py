"""Ask the machines with their own tools whether they are as the data says. The exit code is pytest's."""

from __future__ import annotations

import subprocess
import sys

from scripts.desk import machines
from scripts.desk.desk import Desk, Wish


def run(desk: Desk, wish: Wish) -> int:
    chosen = machines.chosen(desk, wish)
    environment = {
        **desk.environment,
        "DESK_INVENTORY": str(desk.inventory),
        "DESK_MACHINES": ",".join(each["name"] for each in chosen),
    }
    if desk.lab:
        environment["DESK_SSH_CONFIG"] = str(desk.lab["ssh_config"])
        environment["DESK_NEIGHBOUR"] = f"docker exec -i {desk.lab['neighbour']['container']}"
    sys.stdout.flush()
    line = [desk.program("python"), "-m", "pytest", "tests/verify", *(["-v"] if wish.verbose else [])]
    return subprocess.run(line, cwd=desk.root, env=environment).returncode
