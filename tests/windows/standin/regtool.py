"""`reg` and `setx`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .registry import BINARY, DWORD, EXPAND_SZ, MULTI_SZ, SZ, USER_ENVIRONMENT

if TYPE_CHECKING:
    from .processes import Process

TYPES = {SZ: "REG_SZ", EXPAND_SZ: "REG_EXPAND_SZ", DWORD: "REG_DWORD", MULTI_SZ: "REG_MULTI_SZ", BINARY: "REG_BINARY"}


def reg(process: Process) -> int:
    machine = process.machine
    verb, path = process.arguments[0].lower(), process.arguments[1]
    name = process.arguments[process.arguments.index("/v") + 1] if "/v" in process.arguments else None
    if verb == "add":
        kind = process.arguments[process.arguments.index("/t") + 1]
        data: Any = process.arguments[process.arguments.index("/d") + 1]
        number = next(each for each, word in TYPES.items() if word == kind)
        machine.registry.set(path, name or "", number, int(data, 0) if number == DWORD else data)
        process.say_lines(machine.say("The operation completed successfully."))
        return 0
    if "/s" in [each.lower() for each in process.arguments]:
        return _reg_below(process, path, name)
    key = machine.registry.find(path)
    if key is None or (name is not None and name.lower() not in key.values):
        text = machine.say("The system was unable to find the specified registry key or value.")
        process.say_lines(machine.say("ERROR: ") + text, error=True)
        return 1
    whole = re.sub(r"^HKLM", "HKEY_LOCAL_MACHINE", re.sub(r"^HKCU", "HKEY_CURRENT_USER", path))
    process.say_lines("", whole)
    for own, kind_number, value in key.values.values():
        if name is None or own.lower() == name.lower():
            shown = _data(kind_number, value)
            process.say_lines(f"    {own}    {TYPES[kind_number]}    {shown}")
    process.say_lines("", *(f"{whole}\\{each.name}" for each in key.keys.values()))
    return 0


def _reg_below(process: Process, path: str, name: str | None) -> int:
    """`reg query KEY /s [/v NAME]`: each key with what it has of that; a sentence at the end."""
    machine = process.machine
    whole = re.sub(r"^HKLM", "HKEY_LOCAL_MACHINE", re.sub(r"^HKCU", "HKEY_CURRENT_USER", path))
    key, found = machine.registry.find(path), 0
    waiting = [(whole, key)] if key else []
    while waiting:
        here, at = waiting.pop(0)
        values = [each for each in at.values.values() if name is None or each[0].lower() == name.lower()]
        if values:
            process.say_lines("", here)
            process.say_lines(*(f"    {own}    {TYPES[kind]}    {_data(kind, data)}" for own, kind, data in values))
        found += len(values)
        waiting += [(f"{here}\\{each.name}", each) for each in at.keys.values()]
    process.say_lines("", f"End of search: {found} match(es) found.")
    return 0 if found else 1


def _data(kind: int, value: Any) -> str:
    if kind == DWORD:
        return f"0x{value:x}"
    if kind == BINARY:
        return str(value.hex().upper())
    return "\\0".join(value) if kind == MULTI_SZ else str(value)


def setx(process: Process) -> int:
    """Writes plain text, whatever was there, and cuts it at 1024 characters with a warning and exit 0."""
    machine, (name, value) = process.machine, process.arguments[:2]
    if len(value) > 1024:
        value = value[:1024]
        text = machine.say("The data being saved is truncated to 1024 characters.")
        process.say_lines("", machine.say("WARNING: ") + text)
    machine.registry.set(USER_ENVIRONMENT, name, SZ, value)
    process.say_lines("", machine.say("SUCCESS: ") + machine.say("Specified value was saved."))
    return 0


# -- access
