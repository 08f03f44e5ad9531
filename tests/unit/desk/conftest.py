"""A checkout of its own for each test: the real desk commands, with pyinfra itself or one that plays a script."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]
VENV = Path(sys.executable).parent

# Plays what script.json says. Only for what happens between processes: exit codes, signals, the report file.
PLAYER = f"""#!{sys.executable}
import json, os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
script = json.loads((here / "script.json").read_text())
with (here / "calls").open("a") as calls:
    calls.write(json.dumps({{"arguments": sys.argv[1:], "report": os.environ.get("DESK_REPORT")}}) + "\\n")
if "debug-inventory" in sys.argv:
    print(json.dumps([{{"name": name, "groups": [name], "data": {{}}}} for name in script["machines"]]))
    sys.exit(0)
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
for event in script["events"]:
    with open(os.environ["DESK_REPORT"], "a") as report:
        report.write(json.dumps(event) + "\\n")
print("\\n".join(script["lines"]), file=sys.stderr, flush=True)
if script["waits"]:
    (here / "waiting").touch()
    time.sleep(60)
sys.exit(script["exit"])
"""


@dataclass
class Ran:
    code: int
    out: str
    err: str


@dataclass
class Checkout:
    """A checkout with the real scripts/desk and data of its own."""

    root: Path
    state: Path

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def with_real_pyinfra(self) -> None:
        (self.root / ".venv/bin/pyinfra").symlink_to(VENV / "pyinfra")

    def play(
        self,
        *lines: str,
        events: tuple[dict[str, Any], ...] = (),
        exit: int = 0,
        waits: bool = False,
    ) -> None:
        """Have pyinfra print these lines, report these events and exit so."""
        player = self.write(".venv/bin/pyinfra", PLAYER)
        player.chmod(0o755)
        script = {"machines": ["apex", "g16"], "lines": lines, "events": events, "exit": exit, "waits": waits}
        self.write(".venv/bin/script.json", json.dumps(script))

    def calls(self) -> list[dict[str, Any]]:
        """How the playing pyinfra was called."""
        return [json.loads(line) for line in (self.root / ".venv/bin/calls").read_text().splitlines()]

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DESK_", "LAB", "MAKE"))}
        return {**kept, "XDG_STATE_HOME": str(self.state)}

    def start(self, *arguments: str, program: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*(program or (sys.executable, "-m", "scripts.desk")), *arguments],
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, program: tuple[str, ...] = ()) -> Ran:
        process = self.start(*arguments, program=program)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in out + err
        return Ran(process.returncode, out, err)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "scripts" / "desk", root / "scripts" / "desk", ignore=ignored)
    shutil.copy(REPOSITORY / "Makefile", root / "Makefile")
    made = Checkout(root, tmp_path / "state")
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(sys.executable)
    made.write("inventory.py", 'apex = ["apex"]\ng16 = ["g16"]\nlinux = ["apex", "g16"]\n')
    for name in ("apex", "g16", "schema"):
        made.write(f"deploys/{name}.py", "")
    return made


def step(name: str, **results: str) -> list[str]:
    """Lines of one step, as pyinfra prints them."""
    return [f"--> Starting operation: {name} ", *(f"    [{machine}] {text}" for machine, text in results.items()), ""]


CONNECTED = ("--> Connecting to hosts...", "    [apex] Connected", "    [g16]  Connected", "", "--> Preparing")
PLANNED = {"machine": "apex", "event": "planned", "kind": "file", "id": "/etc/x", "why": "content differs"}
PLANNED["difference"] = "-old\n+new"
NOTE = {"machine": "g16", "event": "note", "sentence": "it has no NVIDIA GPU"}
REFUSED = {"machine": "g16", "event": "refused", "sentence": "g16: there is no zstd on it: install it"}
CHANGED = {"machine": "apex", "event": "changed", "kind": "file", "id": "/etc/x", "why": "content differs"}
