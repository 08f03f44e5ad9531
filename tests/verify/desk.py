"""What the desk knows before it asks anybody: the data as JSON, which machines to ask, the way to them, the secrets.

Environment: DESK_INVENTORY (inventory.py), DESK_MACHINES (all; names with commas), DESK_SSH_CONFIG (an ssh_config;
otherwise the inventory's ssh_* data), DESK_NEIGHBOUR (see neighbour.py), SECRETS_FILE (secrets.env), SECRETS_COMMAND.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .patience import DESK_S

ROOT = Path(__file__).parents[2]
SHORTEST_SECRET = 6


class CannotStart(Exception):
    """Nothing can be verified: one sentence."""


@dataclass(frozen=True)
class Expected:
    """What the data says of one machine."""

    name: str
    groups: frozenset[str]
    data: Mapping[str, Any]

    def __contains__(self, thing: str) -> bool:
        return bool(self.data.get(thing))

    def __getitem__(self, thing: str) -> Any:
        return self.data[thing]


@functools.cache
def inventory() -> tuple[Expected, ...]:
    """Every machine of the inventory. Raises CannotStart with what pyinfra says."""
    path = os.environ.get("DESK_INVENTORY", "inventory.py")
    done = _run([sys.executable, "-m", "pyinfra", "--json", path, "debug-inventory"], f"the inventory {path}")
    if done.returncode:
        raise CannotStart(f"the inventory {path} cannot be read: {last_words(done.stderr)}")
    try:
        told = json.loads(done.stdout)
    except ValueError:
        raise CannotStart(f"the inventory {path} cannot be read: it, or group_data, prints something") from None
    found = tuple(Expected(each["name"], frozenset(each["groups"]), each["data"]) for each in told)
    if not found:
        raise CannotStart(f"the inventory {path} names no machine: {last_words(done.stderr)}")
    return found


def _run(line: Sequence[str], thing: str) -> subprocess.CompletedProcess[str]:
    """A program on the desk. Raises CannotStart when there is none, or no end of it."""
    try:
        return subprocess.run(
            line, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=DESK_S
        )
    except subprocess.TimeoutExpired:
        raise CannotStart(f"{thing} did not answer within {DESK_S} s") from None
    except OSError as error:
        raise CannotStart(f"{thing} cannot be run: {error.strerror}") from None


def last_words(stderr: str) -> str:
    """The line of pyinfra's output that says what is wrong."""
    lines = [line.removeprefix("-->").strip() for line in stderr.splitlines()]
    telling = [line for line in lines if line and not line.startswith(("Loading", "Disconnecting"))]
    return telling[-1] if telling else "pyinfra said nothing"


def chosen() -> tuple[Expected, ...]:
    """The machines to verify: DESK_MACHINES, or all. Raises CannotStart for a name that nobody has."""
    known = {each.name: each for each in inventory()}
    wanted = [name for name in os.environ.get("DESK_MACHINES", "").replace(",", " ").split() if name]
    for name in wanted:
        if name not in known:
            raise CannotStart(f"DESK_MACHINES names {name}, which is not in the inventory ({', '.join(known)})")
    return tuple(known[name] for name in wanted or known)


# ---- secrets --------------------------------------------------------------------------------------------------------


class Hidden(str):
    """A value that does not show itself when a test fails."""

    def __repr__(self) -> str:
        return "<hidden>"


def secrets_file() -> Path:
    """Where the values lie on the desk."""
    return ROOT / os.environ.get("SECRETS_FILE", "secrets.env")


def secrets_in_file() -> dict[str, Hidden]:
    """{name: value} of the secrets file; empty where there is none."""
    try:
        text = secrets_file().read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    pairs = [line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#")]
    return {name.strip(): Hidden(value.strip()) for name, _, value in pairs if value.strip()}


@functools.cache
def secret(name: str) -> Hidden | None:
    """The value of a secret as the desk knows it: environment, secrets file, SECRETS_COMMAND. None when nobody does.

    Raises CannotStart when SECRETS_COMMAND is none, or hangs.
    """
    value = os.environ.get(name) or secrets_in_file().get(name)
    command = os.environ.get("SECRETS_COMMAND")
    if not value and command:
        done = _run([*shlex.split(command), name], f"SECRETS_COMMAND, asked for {name},")
        value = done.stdout.strip() if done.returncode == 0 else None
    return Hidden(value) if value else None


def secret_names() -> list[str]:
    """Every secret that the file or the data names and that has a value worth looking for."""
    named = {name for each in inventory() for name in _named_in(each.data)} | set(secrets_in_file())
    return sorted(name for name in named if len(secret(name) or "") >= SHORTEST_SECRET)


def _named_in(data: Any) -> Iterator[str]:
    """Every secret that the data names: in JSON it is {"name": "IN_CAPITALS"} and nothing else."""
    if isinstance(data, Mapping):
        name = data.get("name")
        if list(data) == ["name"] and isinstance(name, str) and name.isupper():
            yield name
        data = list(data.values())
    if isinstance(data, Sequence) and not isinstance(data, str):
        for each in data:
            yield from _named_in(each)


# ---- the way to the machines ----------------------------------------------------------------------------------------

SSH_NAMES = {
    "ssh_hostname": "HostName",
    "ssh_user": "User",
    "ssh_port": "Port",
    "ssh_key": "IdentityFile",
    "ssh_known_hosts_file": "UserKnownHostsFile",
    "ssh_strict_host_key_checking": "StrictHostKeyChecking",
}


def ssh_config(machines: Sequence[Expected], given: str | None) -> str:
    """An ssh_config for all machines. Whoever speaks first wins: `given`, the inventory's data, its own ssh_config."""
    lines = [f'Include "{Path(given).absolute()}"'] if given else []
    for each in machines:
        lines.append(f"Host {each.name}")
        lines += [f'  {word} "{each.data[name]}"' for name, word in SSH_NAMES.items() if each.data.get(name)]
    lines += ["Match all", "  BatchMode yes", "  ServerAliveInterval 5", "  ServerAliveCountMax 4"]
    named = {str(each.data["ssh_config_file"]) for each in machines if each.data.get("ssh_config_file")}
    for path in sorted(named) or ["~/.ssh/config"]:
        lines.append(f'Include "{Path(path).expanduser().absolute()}"')  # one that is absent counts as empty
    return "\n".join(lines) + "\n"
