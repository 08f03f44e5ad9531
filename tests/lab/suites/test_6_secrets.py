"""A planted secret is nowhere: not in any output, log, process list, nor in a file that another user can read."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from .conftest import REPOSITORY, Desk, Machine

PLANTED = "planted-secret-7f3e9c1d5b"

# The one person besides SYSTEM and administrators who may read the gateway's keys: in whose session Docker's engine
# runs, and mounts them for the container (docs/docker-on-windows.md).
DOCKERS_USER = {"S-1-5-21-1004336348-1177238915-682003330-1001"}


@pytest.fixture
def planted(lab: dict[str, Any], tmp_path: Path) -> str:
    """The lab's secrets with a planted value as one lane's key."""
    lines = Path(lab["state"], "secrets.env").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("GROQ_API_KEY=")]
    path = tmp_path / "secrets.env"
    path.touch(mode=0o600)
    path.write_text("\n".join([*kept, f"GROQ_API_KEY={PLANTED}", ""]))
    return str(path)


class Watcher:
    """Looks at every process of this computer, machines of the lab included, as often as it can."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self.stop.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
                if PLANTED in text:
                    self.seen.add(text)

    def __enter__(self) -> Watcher:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()


def _nowhere_on_windows(machine: Machine) -> None:
    """In no command line since the boot, no task, no registry value, and no file that others may read."""
    for verb in ("started", "transferred", "tasks", "registry", "firewall"):
        assert PLANTED not in json.dumps(machine.control(verb)), f"it is in what `{verb}` tells"
    held = machine.sh(f"grep -rlaF {PLANTED} {shlex.quote(machine.drive)}", check=False).splitlines()
    files = machine.control("files", content=False)
    for each in held:
        path = "C:" + each.removeprefix(machine.drive).replace("/", "\\")
        may = set(re.findall(r"\(A;[^;]*;[^;]*;[^;]*;[^;]*;([^)]+)\)", files[path]["sddl"]))
        assert may - {"SY", "BA"} <= DOCKERS_USER, f"{path} can be read by {may}"
    assert held, "it is nowhere at all: the test would see nothing"


def test_it_is_nowhere(copy: Desk, planted: str, machines: dict[str, Machine]) -> None:
    with Watcher() as watcher:
        outputs = [copy.run(command, SECRETS_FILE=planted).out for command in ("plan", "converge", "status", "plan")]
    assert "gateway.env" in outputs[0]
    environment = {**__import__("os").environ, "SECRETS_FILE": planted}
    for arguments in (
        ["--json", "tests/lab/inventory.py", "debug-inventory"],
        ["-y", "-vvv", "--debug", "tests/lab/inventory.py", "deploys/apex.py", "deploys/g16.py"],
        ["--dry", "--diff", "-vvv", "tests/lab/inventory.py", "deploys/apex.py"],
    ):
        done = subprocess.run(
            [REPOSITORY / ".venv/bin/pyinfra", *arguments],
            cwd=copy.checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        outputs.append(done.stdout)
    assert not [text for text in outputs if PLANTED in text]
    assert not watcher.seen
    for log in copy.checkout.rglob("*.log"):
        assert PLANTED not in log.read_text(errors="replace")
    for machine in machines.values():
        readable = machine.sh(
            "find / -xdev \\( -path /proc -o -path /sys -o -path /var/lib/docker \\) -prune"
            " -o -type f -perm /077 -size -4M -print0"
            f" | xargs -0 grep -laF {PLANTED} 2>/dev/null",
            check=False,
        )
        assert readable == "", f"{machine.name}: others can read it in {readable}"
        if machine.windows:
            _nowhere_on_windows(machine)


def test_it_did_reach_the_gateway(apex: Machine, copy: Desk, planted: str) -> None:
    """The test above would pass with a secret that never arrived."""
    assert copy.run("converge", "HOST=apex", SECRETS_FILE=planted).code == 0
    assert apex.sh_at(f"grep -c {PLANTED} {{}}", "keys") == "1"
