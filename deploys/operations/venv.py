"""Virtual environments: made on the machine by uv from a hash-locked list, in a directory of their lock."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pyinfra import host
from pyinfra.api.operation import OperationMeta

from deploys.facts.look import sha256_wanted
from deploys.lib.paths import joined
from deploys.operations.resource import Found, Resource, wanted


def made(
    name: str,
    into: str,
    *,
    lock: str,
    python: str,
    uv: str,
    program: str,
    index: str | None = None,
    room_gb: float = 3.0,
) -> OperationMeta:
    """Have the environment of `lock` at `place(into, lock, python)`, whole or not at all; the one before stays beside.

    + lock: path of a files.config on that machine: every package with its hashes
    + python, uv: the programs that make it; `program`: its own Python, inside
    + index: where packages come from; none is uv's own default
    + room_gb: what must be free: what is fetched, and what it becomes
    The switch to another environment is the user's own: the service whose command names the new directory.
    """
    sha256 = sha256_wanted(host, lock)
    key = _key(sha256, python)

    def differs(found: Found) -> str | None:
        there = (found or {"made": {}})["made"].get(key)
        if there is None:
            return f"{key} is missing"
        if (there["lock"], there["python"]) != (sha256, python):
            return f"{key} was made from something else"
        return None if there["intact"] else f"{key} was changed by hand, or its Python is gone"

    def request() -> Mapping[str, Any]:
        made_with = {"python": python, "uv": uv, "program": program, "index": index, "room_gb": room_gb}
        return {"name": key, "lock": lock, "sha256": sha256, **made_with}

    return wanted(name, Resource("venv", into, differs, request, job=True), sha256=key)


def place(into: str, lock: str, python: str) -> str:
    """The directory of the environment that `lock`, a path on the machine, and `python` make."""
    return joined(into, _key(sha256_wanted(host, lock), python))


def _key(sha256: str, python: str) -> str:
    return hashlib.sha256(f"{sha256}\0{python}".encode()).hexdigest()[:16]
