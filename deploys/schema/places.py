"""Paths in the data: full, and in the one form that the machine takes, which is that of its agent's home."""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from deploys.schema.base import Nonsense
from deploys.schema.machine import Agent

PLACES: Mapping[str, tuple[str, ...]] = {
    "brain": ("program", "settings"),
    "gateway_native": ("uv.home", "python.home", "venvs", "state"),
    "gateway_place": ("home",),
    "ollama": ("home", "state", "models"),
    "ssh": ("drop_in",),
}
WINDOWS, OTHERS = re.compile(r'[A-Za-z]:(\\[^\\/:*?"<>|\0-\x1f]+)+'), re.compile(r"(/[^/\0]+)+")


def check_places(machine: str, data: Mapping[str, Any]) -> None:
    """Refuse what another system, or the folder that a program happens to be in, would make something else of."""
    agent: Agent | None = data.get("agent")
    if agent is None:
        return
    form, example = (WINDOWS, r"C:\Folder\name") if ":" in agent.home else (OTHERS, "/folder/name")
    for name, fields in PLACES.items():
        for field in fields if name in data else ():
            path = attrgetter(field)(data[name])
            if path and (not form.fullmatch(path) or {".", ".."} & set(re.split(r"[\\/]", path))):
                raise Nonsense(f"{machine}: {name}.{field} = {path!r} is no full path such as {example}: correct it")
