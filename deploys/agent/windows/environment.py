"""Environment variables and PATH entries, of the machine or of the user of this session.

Written raw: `REG_EXPAND_SZ` stays what it is and `%SystemRoot%` unexpanded. A program that runs keeps what it had.
"""

from __future__ import annotations

import os
import re
from typing import Optional

from ..errors import Refused
from ..home import Home
from ..keeping import before, note_before
from ..kind import OneByOne
from ..system import Progress, State, System
from . import searchpath, win32
from .registryvalues import read, write

KEYS = {
    "machine": r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment",
    "user": r"HKCU\Environment",
}
LONGEST = 32_767


def _apart(name: str) -> tuple[str, str]:
    """(key, rest) of "machine/NAME" or "user/C:\\folder"."""
    scope, _, rest = name.partition("/")
    if scope not in KEYS or not rest:
        raise Refused(f"use {name}", 'it begins with neither "machine/" nor "user/"', "correct it in the role")
    return KEYS[scope], rest


def expanded(text: str) -> str:
    """With the variables of this session filled in; unknown ones stay."""
    return re.sub(r"%([^%]+)%", lambda found: os.environ.get(found[1].upper(), found[0]), text)


class Variables(OneByOne):
    """Kind `variable`. Identity: "machine/NAME" or "user/NAME".

    State: {"value": raw, "expands": whether readers fill in its `%NAMES%`}, or None.
    """

    def state(self, name: str) -> Optional[State]:
        found = read(*_apart(name))
        return found and {"value": found["data"], "expands": found["type"] == "expand"}

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, value (None: it must not be there). What holds `%` is expanded by whoever reads it; else the
        type there was stays."""
        name, value = request["id"], request["value"]
        key, variable = _apart(name)
        if variable.lower() == "path":
            raise Refused(f"set {name}", "it would replace every entry", "use a PATH entry")
        if "=" in variable or "\0" in (value or "") or len(value or "") > LONGEST:
            raise Refused(f"set {name}", "Windows takes no such name or value", "correct it in group_data")
        present = read(key, variable)
        note_before(self.home, "variable", name, present)
        wanted = None if value is None else {"type": self._type(present, value), "data": value}
        if present != wanted:
            write(key, variable, wanted)
            win32.broadcast()
        return {"variable": self.look({name: {}})}

    @staticmethod
    def _type(present: Optional[State], value: str) -> str:
        if "%" in value:
            return "expand"
        return present["type"] if present and present["type"] in ("string", "expand") else "string"

    def remove(self, request: State, progress: Progress) -> State:
        name = request["id"]
        write(*_apart(name), before(self.home, "variable", name))
        win32.broadcast()
        self.home.forget("variable", name)
        return {"variable": {name: None}}


class PathEntries:
    """Kind `path_entry`. Identity: "machine/C:\\folder" or "user/...". State: {} or None."""

    def __init__(self, system: System, home: Home) -> None:
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        found: dict[str, Optional[State]] = {}
        for name in asked:
            key, entry = _apart(name)
            found[name] = {} if searchpath.holds(_path(key)["data"], entry, expanded) else None
        return found

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id."""
        name = request["id"]
        key, entry = _apart(name)
        if re.search(r'[;"\0]', entry):
            raise Refused(f"add {entry} to a PATH", "no folder has such a name", "correct it in group_data")
        present = _path(key)
        note_before(self.home, "path_entry", name, searchpath.holds(present["data"], entry, expanded))
        self._change(key, present, searchpath.with_entry(present["data"], entry, expanded))
        return {"path_entry": self.look({name: {}})}

    @staticmethod
    def _change(key: str, present: State, text: str) -> None:
        if len(text) > LONGEST:
            raise Refused("change a PATH", f"it would have {len(text)} characters", "remove entries that nobody needs")
        if text != present["data"]:
            write(key, "Path", {**present, "data": text})
            win32.broadcast()

    def remove(self, request: State, progress: Progress) -> State:
        """Only what we added: an entry that was there before stays."""
        name = request["id"]
        key, entry = _apart(name)
        present = _path(key)
        if not before(self.home, "path_entry", name):
            self._change(key, present, searchpath.without_entry(present["data"], entry, expanded))
        self.home.forget("path_entry", name)
        return {"path_entry": {name: None}}


def _path(key: str) -> State:
    return read(key, "Path") or {"type": "expand", "data": ""}
