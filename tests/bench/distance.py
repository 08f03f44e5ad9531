"""A converge that changes nothing, over roads of several lengths, beside a process per resource: `make bench-distance`.

Of one machine of the lab (HOST=apex), whichever system it has. Prints medians, and what went over SSH in each run. Ends
with a sentence when a converge of ours took anything but one exec, or the other way anything but one for each resource.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from group_data import linux, windows
from tests.bench.converge import REPOSITORY, lab, row, timed
from tests.bench.counted import EXECS, SESSIONS, UPLOADS

ROUND_TRIPS_MS = (0, 20, 80)
RUNS = 3
RESOURCES = 100
MANY = "tests/bench/many.py"
Counts = dict[str, int]


def road(found: dict[str, Any], scratch: Path, round_trip_ms: int) -> Path:
    """The lab's ssh_config with a road longer by `round_trip_ms`."""
    delay = f"{shlex.quote(sys.executable)} -m tests.bench.delay {round_trip_ms / 2000}"
    lines = []
    for line in Path(found["ssh_config"]).read_text().splitlines():
        head, word, command = line.partition("ProxyCommand ")
        longer = f"{delay} {command}" if word and round_trip_ms else command
        lines.append(f"{head}{word}{longer}")
    path = scratch / f"ssh_config-{round_trip_ms}"
    path.write_text("\n".join(lines) + "\n")
    return path


class Bench:
    """pyinfra on that one machine, timed and counted."""

    def __init__(self, scratch: Path) -> None:
        self.found, self.name, self.scratch = lab(), os.environ.get("HOST", "apex"), scratch
        self.counts = scratch / "counts.json"
        secrets = f"{self.found['state']}/secrets.env"
        self.environment = {**os.environ, "SECRETS_FILE": secrets, "BENCH_RESOURCES": str(RESOURCES)}
        self.empty = scratch / "empty.py"
        self.empty.write_text("")

    def run(self, deploy: str, round_trip_ms: int, **settings: str) -> tuple[float, Counts]:
        """Seconds that it took, and what went over its connection."""
        config = road(self.found, self.scratch, round_trip_ms)
        pyinfra = [sys.executable, "-m", "tests.bench.counted", str(self.counts), "-y", "--limit", self.name]
        command = [*pyinfra, "--data", f"ssh_config_file={config}", "tests/lab/inventory.py", deploy]
        seconds = timed(command, REPOSITORY, {**self.environment, **settings})
        counts: dict[str, Counts] = json.loads(self.counts.read_text())
        if set(counts) != {self.name}:
            sys.exit(f"connections to {sorted(counts)} were counted, wanted one to {self.name} alone")
        return seconds, counts[self.name]

    def measure(self, what: str, deploy: str, round_trip_ms: int, execs: int, **settings: str) -> None:
        """A row of the table. Ends the bench when a run took other than `execs` execs, or anything by SFTP."""
        wanted = {EXECS: execs, SESSIONS: 0, UPLOADS: 0}
        times = []
        for _ in range(RUNS):
            seconds, counts = self.run(deploy, round_trip_ms, **settings)
            if counts != wanted:
                sys.exit(f"{what}: {counts} went over SSH, wanted {wanted}: its time would tell nothing")
            times.append(seconds)
        row(f"  {what}", times, f"SSH execs: {execs}")

    def resources(self) -> int:
        """How many the machine's manifest names."""
        machine = self.found["machines"][self.name]
        home = linux.agent.home
        if drive := machine.get("drive"):
            home = windows.agent.home.replace("C:", drive).replace("\\", "/")
        command = ["docker", "exec", machine["container"], "cat", f"{home}/managed.json"]
        return len(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        own = f"deploys/{bench.name}.py"
        bench.run(own, 0)  # whatever is pending is done before; what an earlier bench left goes
        system = bench.found["machines"][bench.name].get("os", "linux")
        print(f"{bench.name}, the lab's {system} machine; medians of {RUNS} runs (least .. most)", flush=True)
        few = bench.resources()
        for round_trip_ms in ROUND_TRIPS_MS:
            print(f"a round trip of {round_trip_ms} ms more than the lab's own:", flush=True)
            bench.measure("pyinfra's start and one connection", str(bench.empty), round_trip_ms, execs=0)
            bench.measure(f"its own host file, {few} resources", own, round_trip_ms, execs=1)
            bench.run(MANY, 0)
            more = bench.resources()
            bench.measure(f"{RESOURCES} more, {more} in all, one look", MANY, round_trip_ms, execs=1)
            each = {"BENCH_HOW": "each"}
            what = f"a look, and a process for each of {RESOURCES}"
            bench.measure(what, MANY, round_trip_ms, execs=1 + RESOURCES, **each)
            bench.run(own, 0)  # removes the hundred


if __name__ == "__main__":
    main()
