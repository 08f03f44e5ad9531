"""What every lab suite stands on: a converged lab, a copy of this checkout to edit, and the desk's own commands.

The suites run in the order of their numbers: each leaves the lab converged. They change data and templates only in
the copy, and break things only on the lab's machines.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]

# A change of a template that the gateway starts with as well as without.
HARMLESS = (
    "templates/gateway/config.yaml.j2",
    "  turn_off_message_logging: true\n",
    "  turn_off_message_logging: true\n  json_logs: true\n",
)


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str

    def changes(self) -> list[str]:
        """The planned changes, as `machine kind id`."""
        marked = [line.split() for line in self.out.splitlines() if "  ~ " in line]
        return [f"{words[0]} {words[2]} {words[3].rstrip(':')}" for words in marked]


@dataclass
class Desk:
    """The desk's commands, run in one checkout against the lab."""

    checkout: Path

    def run(self, command: str, *settings: str, timeout_s: int = 900, **environment: str) -> Ran:
        """`make <command> LAB=1 <settings>`, without make's own lines."""
        done = subprocess.run(
            [sys.executable, "-m", "scripts.desk", command, "LAB=1", *settings],
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **environment},
        )
        print(f"--- {command} {' '.join(settings)} -> {done.returncode}\n{done.stdout}")
        return Ran(done.returncode, done.stdout)

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be there exactly once."""
        file = self.checkout / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))


@dataclass
class Machine:
    """One machine of the lab, reached past SSH: the suites must see it even when its network is gone."""

    name: str
    container: str

    def sh(self, script: str, check: bool = True) -> str:
        """Run a shell script there as root; its output."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.container, "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0 or not check, f"{self.name}: {script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


@pytest.fixture(scope="session")
def lab() -> dict[str, Any]:
    """lab.json of the running lab."""
    name = os.environ.get("LAB_NAME", "lab")
    state = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "llm-harness" / name
    path = state / "lab.json"
    if not path.exists():
        pytest.exit("the lab is not running: make lab", returncode=1)
    found: dict[str, Any] = json.loads(path.read_text())
    return {**found, "state": str(state)}


@pytest.fixture(scope="session")
def machines(lab: dict[str, Any]) -> dict[str, Machine]:
    return {name: Machine(name, each["container"]) for name, each in lab["machines"].items()}


@pytest.fixture
def apex(machines: dict[str, Machine]) -> Machine:
    return machines["apex"]


@pytest.fixture
def g16(machines: dict[str, Machine]) -> Machine:
    return machines["g16"]


@pytest.fixture(scope="session")
def desk() -> Desk:
    """The commands of this checkout itself."""
    return Desk(REPOSITORY)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Desk]:
    """A copy of this checkout, free to edit. Whatever it did, the checkout itself makes the lab whole again."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
    shutil.copytree(REPOSITORY, checkout, ignore=ignored)
    (checkout / ".venv").symlink_to(REPOSITORY / ".venv")
    yield Desk(checkout)
    healed = Desk(REPOSITORY).run("converge")
    assert healed.code == 0, healed.out
