"""What only a Windows machine has to tell of itself, from the registry: no language, no program to start."""

from __future__ import annotations

from typing import Optional

from ..system import State
from . import registry
from .reboots import KEYS

OPENSSH = r"HKLM\SOFTWARE\OpenSSH"
LXSS = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Lxss"


def look() -> State:
    """{"default_shell", "restart_wanted_by": [who], "wsl"}

    `default_shell`: what sshd starts for every command; None is cmd.exe. `wsl`: of the user of this session.
    """
    return {
        "default_shell": _value(OPENSSH, "DefaultShell"),
        "restart_wanted_by": [who for who, key in KEYS.items() if registry.values(key) is not None],
        "wsl": wsl(),
    }


def wsl() -> Optional[State]:
    """{"default_version", "distributions": {name: version}}, or None for a user who never had any."""
    if registry.values(LXSS) is None:
        return None
    found = {}
    for key in registry.subkeys(LXSS):
        name = _value(f"{LXSS}\\{key}", "DistributionName")
        if name:
            found[str(name)] = _value(f"{LXSS}\\{key}", "Version")
    return {"default_version": _value(LXSS, "DefaultVersion") or 2, "distributions": found}


def _value(key: str, name: str) -> object:
    """A value's data, by its name without case; None when there is none."""
    found = registry.values(key) or {}
    return next((data for own, (_, data) in found.items() if own.lower() == name.lower()), None)
