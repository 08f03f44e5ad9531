"""A converge that changes nothing, over roads of several lengths, beside a process per resource: `make bench-distance`.

Of one machine of the lab (HOST=apex). Prints medians, and the number of SSH execs of each run.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.converge import REPOSITORY, lab, row, timed

ROUND_TRIPS_MS = (0, 20, 80)
RUNS = 3
RESOURCES = 100
WAYS = {f"{RESOURCES} more resources, one look": "look", "a process per resource": "each"}


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


def main() -> None:
    found, name = lab(), os.environ.get("HOST", "apex")
    environment = {**os.environ, "SECRETS_FILE": f"{found['state']}/secrets.env", "BENCH_RESOURCES": str(RESOURCES)}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        counts = scratch / "execs.json"

        def run(deploy: str, config: Path, **settings: str) -> float:
            pyinfra = [sys.executable, "-m", "tests.bench.counted", str(counts), "-y", "--limit", name]
            data = ["--data", f"ssh_config_file={config}"]
            command = [*pyinfra, *data, "tests/lab/inventory.py", deploy]
            return timed(command, REPOSITORY, {**environment, **settings})

        def execs() -> int:
            return int(json.loads(counts.read_text())[name])

        near, empty = road(found, scratch, 0), scratch / "empty.py"
        empty.write_text("")
        for deploy in (f"deploys/{name}.py", "tests/bench/many.py"):
            run(deploy, near)  # whatever is pending is done before
        for round_trip_ms in ROUND_TRIPS_MS:
            config = road(found, scratch, round_trip_ms)
            print(f"a round trip of {round_trip_ms} ms more than the lab's own:")
            row("  pyinfra's start and one connection", [run(str(empty), config) for _ in range(RUNS)])
            for what, how in WAYS.items():
                seconds = [run("tests/bench/many.py", config, BENCH_HOW=how) for _ in range(RUNS)]
                row(f"  {what}", seconds, f"SSH execs: {execs()}")
            seconds = [run(f"deploys/{name}.py", config) for _ in range(RUNS)]
            row(f"  the machine's own host file, {name}", seconds, f"SSH execs: {execs()}")


if __name__ == "__main__":
    main()
