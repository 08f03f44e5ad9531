"""The registry: a typed tree whose names ignore case and keep the case first written (recorded)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SZ, EXPAND_SZ, BINARY, DWORD, MULTI_SZ, QWORD = 1, 2, 3, 4, 7, 11
HIVES = {"HKEY_LOCAL_MACHINE": "HKLM", "HKEY_CURRENT_USER": "HKCU", "HKEY_USERS": "HKU"}
RULES = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
MACHINE_ENVIRONMENT = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
USER_ENVIRONMENT = r"HKCU\Environment"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"


@dataclass
class Key:
    name: str
    values: dict[str, tuple[str, int, Any]] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)


class Registry:
    """Keys as "HKLM\\...". A write that Windows would not see (the firewall's own rules) fails the test."""

    def __init__(self) -> None:
        self.root = Key("")
        self.shrinks: dict[str, bool] = {}  # keys from which something goes while they are read the next time
        self.writer = "agent"  # who writes just now: "windows" may write everything

    def find(self, path: str, make: bool = False) -> Key | None:
        at = self.root
        for given in path.split("\\"):
            name = HIVES.get(given, given)
            if name.lower() not in at.keys:
                if not make:
                    return None
                at.keys[name.lower()] = Key(name)
            at = at.keys[name.lower()]
        return at

    def set(self, path: str, name: str, kind: int, data: Any) -> None:
        if self.writer == "agent":
            assert path.lower() != RULES.lower(), "the firewall does not see rules that are written past it"
        right = {SZ: str, EXPAND_SZ: str, DWORD: int, QWORD: int, MULTI_SZ: list, BINARY: bytes}[kind]
        assert isinstance(data, right), f"{name}: {data!r} is no value of type {kind}"
        key = self.find(path, make=True)
        assert key is not None
        first = key.values.get(name.lower(), (name, 0, None))[0]
        key.values[name.lower()] = (first, kind, data)

    def get(self, path: str, name: str) -> tuple[int, Any] | None:
        key = self.find(path)
        found = key.values.get(name.lower()) if key else None
        return found[1:] if found else None

    def delete(self, path: str, name: str) -> None:
        key = self.find(path)
        if key is None or name.lower() not in key.values:
            raise FileNotFoundError(2, "The system cannot find the file specified.")
        del key.values[name.lower()]

    def delete_key(self, path: str) -> None:
        above, _, name = path.rpartition("\\")
        key = self.find(above)
        if key:
            key.keys.pop(name.lower(), None)
