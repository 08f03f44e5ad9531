"""Who is who in a lab: its names, addresses and folders, all from one name, so that two labs stand side by side."""

from __future__ import annotations

import os
import re
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.lab.shell import Trouble

HERE = Path(__file__).parent
PROJECT = "llm-harness"
MACHINES = ("apex", "g16")
LINUX, WINDOWS = "linux", "windows"
TAILNET_DOMAIN = "tail.lab"
LAST_BYTE = {
    **{"apex": 2, "g16": 3, "desk": 4, "neighbour": 5},
    **{"names": 8, "control": 9, "store": 10, "images": 11, "clouds": 12},
}
CLOUD_PORTS = {"cerebras": 9001, "gemini": 9002, "cloudflare": 9003, "groq": 9004, "anthropic": 9005, "slack": 9006}
CLOUD_CONTROL_PORT = 9900
STORE_CONTROL_PORT = 9901
# Where uv looks for packages unless it is told otherwise.
INDEX = "pypi.org"
STORE_NAMES = ("github.com", "registry.ollama.ai", INDEX, "www.python.org", "desktop.docker.com")


def _home(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default) / PROJECT


@dataclass(frozen=True)
class Lab:
    """One lab. `name` becomes part of every container's, network's and volume's name."""

    name: str = "lab"
    cache: Path = field(default_factory=lambda: _home("XDG_CACHE_HOME", ".cache"))
    states: Path = field(default_factory=lambda: _home("XDG_STATE_HOME", ".local/state"))

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,20}", self.name):
            raise Trouble(f"a lab's name is up to 21 of a-z, 0-9 and -, beginning with a letter; {self.name!r} is not")

    @property
    def state(self) -> Path:
        """What this lab remembers: keys, certificates, lab.json. Goes with `down`."""
        return self.states / self.name

    @cached_property
    def systems(self) -> dict[str, str]:
        """Each machine's system. Apex has that of $APEX, else the one it had the last time, else Linux."""
        remembered = self.state / "apex-system"
        chosen = os.environ.get("APEX") or (remembered.read_text().strip() if remembered.exists() else LINUX)
        if chosen not in (LINUX, WINDOWS):
            raise Trouble(f"APEX is {LINUX} or {WINDOWS}, not {chosen!r}")
        return {"apex": chosen, "g16": LINUX}

    def remember_systems(self) -> None:
        (self.state / "apex-system").write_text(self.systems["apex"] + "\n")

    @property
    def label(self) -> str:
        """What everything of this lab carries in Docker, so that nothing else is ever touched."""
        return f"{PROJECT}.lab={self.name}"

    @property
    def network(self) -> str:
        return f"{self.name}-lan"

    @property
    def prefix(self) -> str:
        """The first three bytes of its private network: 172.30.7 for `lab`, another for each other name."""
        third = 7 if self.name == "lab" else 8 + zlib.crc32(self.name.encode()) % 240
        return f"172.30.{third}"

    def container(self, role: str) -> str:
        return f"{self.name}-{role}"

    def volume(self, role: str, what: str) -> str:
        return f"{self.name}-{role}-{what}"

    def ip(self, role: str) -> str:
        return f"{self.prefix}.{LAST_BYTE[role]}"

    @cached_property
    def production_names(self) -> dict[str, str]:
        """The names of the outside world that the lab answers to, and the addresses that do."""
        return {
            **dict.fromkeys(STORE_NAMES, self.ip("store")),
            "ghcr.io": self.ip("images"),
            "clouds": self.ip("clouds"),
            "control": self.ip("control"),
        }


def versions() -> dict[str, Any]:
    """versions.yaml, as it stands."""
    data: dict[str, Any] = yaml.safe_load((HERE / "versions.yaml").read_text())
    return data
