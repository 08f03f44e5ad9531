"""Power settings of the active scheme, by GUID: everything else that `powercfg` says is translated."""

from __future__ import annotations

import re
from typing import Optional

from ..errors import Refused
from ..keeping import before, note_before
from ..kind import OneByOne
from ..system import Progress, State
from . import win32

SLEEP = "238c9fa8-0aad-41ed-83f4-97be242c8f20"
SETTINGS = {
    "sleep": (SLEEP, "29f6c1db-86da-48c5-9fdb-f2b67b1f44da"),
    "hibernate": (SLEEP, "9d7815a6-7ee4-497e-8888-515a05f02364"),
}
VERBS = {"plugged_s": "/setacvalueindex", "battery_s": "/setdcvalueindex"}


class Power(OneByOne):
    """Kind `power`. Identity: "sleep" or "hibernate".

    State: {"plugged_s", "battery_s"}: after how long, 0 being never; None where this machine has no such setting.
    """

    def state(self, name: str) -> Optional[State]:
        if name not in SETTINGS:
            raise Refused(f"look at power setting {name}", "there is none of that name", "use sleep or hibernate")
        for verb in ("/query", "/qh"):  # the first leaves out what the maker of the machine has hidden
            code, out, err = win32.run("powercfg.exe", [verb, "SCHEME_CURRENT", *SETTINGS[name]])
            if code:
                raise _refused(f"look at power setting {name}", out, err)
            numbers = re.findall(rb"0x([0-9a-fA-F]{8})\b", out)
            if len(numbers) >= 2:
                return {"plugged_s": int(numbers[-2], 16), "battery_s": int(numbers[-1], 16)}
        return None

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, plugged_s, battery_s; None leaves it as it is."""
        name = request["id"]
        wanted = {word: request[word] for word in VERBS if request[word] is not None}
        present = self.state(name)
        if present is None and any(wanted.values()):
            raise Refused(f"set power setting {name}", "this machine has none", "take it out of this machine's data")
        note_before(self.home, "power", name, present)
        if present:
            self._set(name, wanted)
        return {"power": self.look({name: {}})}

    def _set(self, name: str, wanted: State) -> None:
        for word in wanted:
            self._powercfg(name, VERBS[word], "SCHEME_CURRENT", *SETTINGS[name], str(wanted[word]))
        self._powercfg(name, "/setactive", "SCHEME_CURRENT")
        found = self.state(name)
        if found is None or any(found[word] != wanted[word] for word in wanted):
            raise Refused(f"set power setting {name}", f"Windows keeps {found}", "see whether a policy sets it")

    @staticmethod
    def _powercfg(name: str, *words: str) -> None:
        code, out, err = win32.run("powercfg.exe", words)
        if code:
            raise _refused(f"set power setting {name}", out, err)

    def remove(self, request: State, progress: Progress) -> State:
        name = request["id"]
        was = before(self.home, "power", name)
        if was:
            self._set(name, was)
        self.home.forget("power", name)
        return {"power": {name: None}}


def _refused(what: str, out: bytes, err: bytes) -> Refused:
    said = " ".join(win32.text(err or out).split())[:300]
    return Refused(what, said or "powercfg gave no reason", "connect as an administrator")
