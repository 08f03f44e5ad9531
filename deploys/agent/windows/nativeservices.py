"""Windows' own services: how they start, and whether they run now."""

from __future__ import annotations

from typing import Optional

from ..errors import Refused
from ..keeping import before, note_before
from ..kind import OneByOne
from ..system import Progress, State
from . import native


class NativeServices(OneByOne):
    """Kind `windows_service`. Identity: its name. State: {"start", "running"} or None: we install none."""

    def state(self, name: str) -> Optional[State]:
        found = native.look(name)
        return found and {"start": found["start"], "running": found["running"]}

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, start ("auto", "delayed", "manual", "disabled"), running (bool)."""
        name = request["id"]
        present = self.state(name)
        if present is None:
            fix = "install it, or correct the name in group_data"
            raise Refused(f"set service {name}", "there is none of that name", fix)
        note_before(self.home, "windows_service", name, present)
        self._set(name, present, request)
        return {"windows_service": self.look({name: {}})}

    @staticmethod
    def _set(name: str, present: State, wanted: State) -> None:
        if present["start"] != wanted["start"]:
            native.set_start(name, wanted["start"])
        if present["running"] != wanted["running"]:
            native.turn(name, wanted["running"])

    def remove(self, request: State, progress: Progress) -> State:
        """As it was before us."""
        name = request["id"]
        present, was = self.state(name), before(self.home, "windows_service", name)
        if present and was:
            self._set(name, present, was)
        self.home.forget("windows_service", name)
        return {"windows_service": {name: None}}
