"""Scheduled tasks of ours: run at a time, at boot or at a logon, with an environment and a log, and end whole."""

from __future__ import annotations

import os
import sys
from typing import Optional

from ..errors import Refused
from ..home import Home
from ..system import Progress, State, System
from . import accounts, schedule
from .bootservices import ACCOUNTS, BootServices

CHOICES = ("logon", "elevated", "catch_up", "battery", "limit_s", "enabled")


class HeldTasks(BootServices):
    """Their definitions. They differ from services in that triggers are data and an end is an end."""

    place = "tasks"
    again = False

    def _boot_task(self, spec: State) -> State:
        name, _ = ACCOUNTS.get(spec["account"], (spec["account"], ""))
        made = super()._boot_task({**spec, "account": "system"})
        chosen: State = {key: spec[key] for key in CHOICES if key in spec}
        return {**made, "account": name, "triggers": spec["triggers"], **chosen}

    def _who(self, spec: State) -> str:
        if spec["account"] in ACCOUNTS:
            return ACCOUNTS[spec["account"]][1]
        try:
            return accounts.sid_of(spec["account"])
        except OSError:
            fix = "create that user, or correct its name in group_data"
            raise Refused(f"define task {spec['name']}", f"there is no user {spec['account']}", fix) from None


class Tasks:
    """Kind `task`. Identity: its name. Spec: description, account ("system", "own" or a user's name), triggers (see
    `taskxml.render`), command, environment, and of logon, elevated, catch_up, battery, limit_s, enabled what is wanted.

    State: {"spec", "intact", "enabled", "running", "last_result", "inputs"} or None.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.home = home
        self.held = HeldTasks(os.path.abspath(sys.argv[0]), home.directory)

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        return {name: self._state(name) for name in asked}

    def _state(self, name: str) -> Optional[State]:
        found = self.held.look(name, ours=True)
        if found is None:
            return None
        there = schedule.definition(self.held.task(name)) is not None
        found.pop("process")
        return {
            **found,
            "last_result": schedule.last_result(self.held.task(name)) if there else schedule.HAS_NOT_RUN,
            "inputs": self.home.entry("task", name).get("inputs", {}),
        }

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, spec, inputs {path: sha256}, run (bool: have it run now, with these inputs).

        What runs by the definition before is ended with its whole tree and started again.
        """
        name, spec = request["id"], request["spec"]
        self.home.remember("task", name)
        present = self._state(name)
        if present is None or present["spec"] != spec or not present["intact"]:
            self.held.define({**spec, "name": name})
        if request["run"] or (present and present["running"]):
            self.held.start(name)
        self.home.remember("task", name, inputs=request["inputs"])
        return {"task": self.look({name: spec})}

    def remove(self, request: State, progress: Progress) -> State:
        name = request["id"]
        self.held.remove(name)
        self.home.forget("task", name)
        return {"task": {name: None}}
