"""What every command needs to know: where the checkout is, which inventory counts, where state is kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Trouble(Exception):
    """Something foreseeable went wrong: one sentence, with the fix."""


@dataclass(frozen=True)
class Wish:
    """What was asked for on the command line."""

    hosts: tuple[str, ...] = ()
    command: str = ""
    lab: bool = False
    verbose: bool = False


@dataclass(frozen=True)
class Desk:
    """Where a command works. `environment` is for the programs that it starts; it holds no secret of the lab."""

    inventory: Path
    state: Path
    environment: dict[str, str]
    lab: dict[str, Any] | None = None
    root: Path = field(default=ROOT)

    def program(self, name: str) -> str:
        """A program of the project's virtualenv."""
        path = self.root / ".venv" / "bin" / name
        if not path.exists():
            raise Trouble(f"there is no {path.relative_to(self.root)} in {self.root}: run `make setup`")
        return str(path)


def state_home() -> Path:
    """Where this person's state of the project lies, beyond any checkout."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "llm-harness"


def lab_home() -> Path:
    return state_home() / os.environ.get("LAB_NAME", "lab")


def private_directory(path: Path) -> Path:
    """Make it, for this person only."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Trouble(f"{path} cannot be made ({error.strerror}): set XDG_STATE_HOME to a directory of yours") from None
    return path


def desk_of(wish: Wish) -> Desk:
    """The real machines' desk, or the lab's."""
    environment = {**os.environ, "PYINFRA_PROGRESS": "off"}
    if not wish.lab:
        return Desk(_existing(ROOT / "inventory.py"), private_directory(state_home()), environment)
    lab = running_lab()
    home = lab_home()
    environment = {"SECRETS_FILE": str(home / "secrets.env"), **environment, "LAB": "1"}
    # The keys that a person has in the environment must never reach the lab's machines: only the file speaks there.
    for name in ("SECRETS_COMMAND", *secret_names(home / "secrets.env")):
        environment.pop(name, None)
    return Desk(_existing(ROOT / "tests" / "lab" / "inventory.py"), home, environment, lab)


def _existing(inventory: Path) -> Path:
    if not inventory.is_file():
        raise Trouble(f"there is no {inventory.relative_to(ROOT)} in {ROOT}: `git checkout` brings it back")
    return inventory


def running_lab() -> dict[str, Any]:
    """What lab.json tells. Raises Trouble when there is no lab."""
    path = lab_home() / "lab.json"
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        raise Trouble("the lab is not running: start it with `make lab`") from None
    return told


def secret_names(path: Path) -> list[str]:
    """The names in a secrets file; none when there is no such file."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.partition("=")[0].strip() for line in lines if "=" in line and not line.lstrip().startswith("#")]
