"""Values of secrets, found on the desk at render time: environment, then the secrets file, then SECRETS_COMMAND.

The command (a password manager: op, pass, bw, sops ...) gets the secret's name as its last argument and prints the
value.
"""

from __future__ import annotations

import functools
import os
import shlex
import stat
import subprocess
from pathlib import Path

from deploys.schema import Nonsense, Secret


def value_of(secret: Secret) -> str | None:
    """The value, or None when nobody knows it. Raises Nonsense for a secrets file that others can read."""
    value = os.environ.get(secret.name) or _from_file(_path()).get(secret.name) or _from_command(secret.name)
    if value and ("\n" in value or "\r" in value):
        raise Nonsense(f"secret {secret.name} holds a line break: keep values on one line")
    if value:
        _resolved.add(value)
    return value or None


_resolved: set[str] = set()
_complaints: dict[str, str] = {}  # what SECRETS_COMMAND said when it had no value: a locked vault, an unknown name


def required(secret: Secret, what_for: str) -> str:
    """The value. Raises Nonsense naming the secret and where to put it."""
    value = value_of(secret)
    if value is None:
        complaint = _complaints.get(secret.name)
        fix = f"SECRETS_COMMAND says: {complaint}" if complaint else f"put {secret.name}=... into {_path()} (chmod 600)"
        raise Nonsense(f"secret {secret.name} is missing ({what_for}): {fix}")
    return value


def everything_known() -> list[str]:
    """All values of the secrets file and all that this run has used, for masking: longest first."""
    values = _resolved.union(_from_file(_path()).values())
    return sorted((each for each in values if len(each) >= 6), key=len, reverse=True)


def _path() -> Path:
    return Path(os.environ.get("SECRETS_FILE", "secrets.env"))


@functools.cache
def _from_file(path: Path) -> dict[str, str]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return {}
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise Nonsense(f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}): chmod 600 {path}")
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise Nonsense(f"{path} line {number} is no NAME=value")
        values[name.strip()] = value.strip()
    return values


@functools.cache
def _from_command(name: str) -> str | None:
    command = os.environ.get("SECRETS_COMMAND")
    if not command:
        return None
    try:
        done = subprocess.run([*shlex.split(command), name], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except ValueError as error:
        raise Nonsense(f"SECRETS_COMMAND {command!r} is no command line: {error}") from error
    except OSError as error:
        raise Nonsense(f"SECRETS_COMMAND {command!r} cannot be run: {error.strerror}") from error
    if done.returncode:
        _complaints[name] = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return None
    return done.stdout.rstrip("\n")
