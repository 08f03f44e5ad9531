"""Registry values, raw and with their types. A value that was there before ours comes back when ours goes."""

from __future__ import annotations

from typing import Any, Optional

from ..errors import Refused, why_of
from ..home import Home
from ..keeping import before, note_before
from ..system import Progress, State, System
from . import registry, rules, win32

TYPES = {"string": 1, "expand": 2, "binary": 3, "dword": 4, "multi": 7, "qword": 11}
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"


def read(key: str, name: str) -> Optional[State]:
    """{"type", "data"} or None; the data of `binary` as hex."""
    for own, (kind, data) in (registry.values(key) or {}).items():
        if own.lower() == name.lower():
            word = {number: word for word, number in TYPES.items()}.get(kind, str(kind))
            return {"type": word, "data": data.hex() if isinstance(data, bytes) else data}
    return None


def write(key: str, name: str, value: Optional[State]) -> None:
    """Set it, or delete it for None, and read it back."""
    what = f"set {key}\\{name}"
    try:
        if value is not None:
            win32.set_value(key, name, TYPES[value["type"]], _data(what, value))
        elif read(key, name) is not None:
            win32.set_value(key, name, None)
    except OSError as error:
        raise Refused(what, why_of(error), "connect as an administrator") from error
    if read(key, name) != value:
        raise Refused(what, f"Windows keeps {read(key, name)}", "see who else writes it")


def _data(what: str, value: State) -> Any:
    right = {"dword": int, "qword": int, "multi": list}.get(value["type"], str)
    if not isinstance(value["data"], right):
        raise Refused(what, f"{value['data']!r} is no {value['type']}", "correct it in group_data")
    return bytes.fromhex(str(value["data"])) if value["type"] == "binary" else value["data"]


class RegistryValues:
    """Kind `registry_value`. Identity: key and name, "HKLM\\SOFTWARE\\...\\Name". State: {"type", "data"} or None."""

    def __init__(self, system: System, home: Home) -> None:
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        return {name: read(*_apart(name)) for name in asked}

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, type ("string", "expand", "dword", "qword", "multi", "binary"), data (None: not there)."""
        name = request["id"]
        key, value = _apart(name)
        if key.lower() == rules.KEY.lower() or (key.lower().startswith(SERVICES.lower() + "\\") and value == "Start"):
            raise Refused(f"set {name}", "Windows does not see it when it is written there", "use its own resource")
        note_before(self.home, "registry_value", name, read(key, value))
        wanted = {"type": request["type"], "data": request["data"]}
        write(key, value, wanted if request["data"] is not None else None)
        return {"registry_value": self.look({name: {}})}

    @staticmethod
    def put(name: str, value: Optional[State]) -> None:
        """Have it be that, or None for not there; what is noted of it stays."""
        write(*_apart(name), value)

    def remove(self, request: State, progress: Progress) -> State:
        name = request["id"]
        write(*_apart(name), before(self.home, "registry_value", name))
        self.home.forget("registry_value", name)
        return {"registry_value": {name: None}}


def _apart(name: str) -> tuple[str, str]:
    key, _, value = name.rpartition("\\")
    return key, value
