"""The way in: the machine itself undoes a change to it, unless the desk confirms it over a fresh connection.

    undo/open.json         a change that waits: how it was before, and until when
    undo/undoing-*.json    the same once a process undoes it, which its name tells: no confirmation counts any more
    undo/undone.json       what was undone last, for the desk that asks
    undo/watcher.json      the process that watches
    undo/agent.pyz         what the watcher runs: a desk with a newer agent removes the other one

Whoever renames open.json decides: a change is kept or it is undone, by one process at a time. The system starts the
watcher, and starts it again when it is killed and when the machine starts; every look and every change sees to it as
well. Time is the machine's own since its start, which nobody can set; a restart of the machine ends it at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import time
from typing import Any, Callable, Optional

from ..errors import Refused, why_of
from ..home import Home
from ..patience import discard
from ..system import State, System
from .former import former, matters, put_back

POLL_S = 0.3
RETRY_S = 5.0
START_S = 20.0
UNDO_S = 60.0
OPEN, UNDONE, WATCHER, UNDOING = "undo/open.json", "undo/undone.json", "undo/watcher.json", "undoing-"


class Undo:
    """Opens, confirms, undoes and watches; at most one change waits at a time."""

    def __init__(self, system: System, home: Home, kinds: dict[str, Any]) -> None:
        self.system = system
        self.home = home
        self.kinds = kinds

    def guards(self, request: State) -> Optional[State]:
        """The guard of a change: what the request says, or what was said when the thing was made; None for none."""
        kind, name = request["kind"], request["id"]
        if request["verb"] == "note":
            return None
        guard: Optional[State] = request.get("guarded") or self.home.entry(kind, name).get("guarded")
        waiting = self.home.read(OPEN) or {}
        if guard and (matters(self.kinds, request) or (waiting.get("kind"), waiting.get("name")) == (kind, name)):
            return guard
        return None

    def change(self, request: State, guard: State, make: Callable[[], State]) -> State:
        """Make a change that is undone `guard["within_s"]` seconds from now unless confirmed.

        `guard`: within_s, optional reload (the service that reads the file). `request["change"]`: the record's id.
        What another change left unconfirmed is undone first; a change that fails is undone at once.
        """
        self._undo()
        self.settle()
        record = self._begin(request, guard)
        try:
            state = make()
            if guard.get("reload") and record["ran"]:
                self.system.reload_service(guard["reload"])
            if request["verb"] == "ensure":
                self.home.remember(request["kind"], request["id"], guarded=guard)
            if (self.home.read(OPEN) or {}).get("id") != record["id"]:
                self.settle()
                self._restore(record)  # a part of it may have come after the undoing
                raise Refused(f"change {request['id']}", f"it took longer than {guard['within_s']} s", "converge again")
        except (Refused, OSError) as problem:
            self._undo()
            if not isinstance(problem, Refused):
                raise
            raise Refused(problem.what, f"{problem.why}; all is as it was before", problem.fix) from problem
        return state

    def _begin(self, request: State, guard: State) -> State:
        """Write down how it is and have it watched: nothing is changed before somebody is there to undo it."""
        kind, name = request["kind"], request["id"]
        reload = name if kind == "service" else guard.get("reload")
        record: State = {
            "id": request["change"],
            "kind": kind,
            "name": name,
            "within_s": guard["within_s"],
            "before": former(self.system, kind, name, self.kinds),
            "entry": self.home.entry(kind, name) or None,
            "reload": reload,
            "ran": bool(reload) and self._running(str(reload)),
            "boot": self.system.this_boot(),
            "until": time.monotonic() + START_S + guard["within_s"],
        }
        self.home.folder("undo")
        program = self.home.path("undo", "agent.pyz")
        shutil.copyfile(os.path.abspath(sys.argv[0]), program + ".new")
        self.system.replace(program + ".new", program)
        discard(self.home.path(WATCHER))
        self.home.write(OPEN, record)
        try:
            self.system.watch([sys.executable, "-I", "-X", "utf8", program, "watch", self.home.directory])
            self._await_watcher()
        except Refused:
            discard(self.home.path(OPEN))
            raise
        record["until"] = time.monotonic() + guard["within_s"]  # not due before this, so nobody has renamed it
        self.home.write(OPEN, record)
        return record

    def _await_watcher(self) -> None:
        end = time.monotonic() + START_S
        while not self._watched():
            if time.monotonic() > end:
                why = f"nothing that would undo it is there after {START_S:g} s"
                raise Refused("change the way in", why, "see what starts with that machine, and its log")
            time.sleep(0.05)

    def _watched(self) -> bool:
        watcher = self.home.read(WATCHER)
        return bool(watcher) and self.system.is_alive(watcher["pid"], watcher["started"])

    def _running(self, service: str) -> bool:
        return bool((self.system.services([{"name": service}])[service] or {}).get("running"))

    # -- how it ends
    def confirm(self, request: State) -> State:
        """{"outcome": "kept"|"undone"|"waits"|"unknown"}. `request`: id, keep (False: only ask)."""
        record = self.home.read(OPEN)
        if record and record["id"] == request["id"]:
            if request["keep"] and self._claim(OPEN, "undo/confirmed.json"):
                discard(self.home.path("undo/confirmed.json"))
                with contextlib.suppress(Refused):  # a watcher that finds nothing ends by itself, at every start
                    self.system.unwatch()
                return {"outcome": "kept"}
            return {"outcome": "waits"}
        undoing = self._undoing()
        if undoing and (self.home.read(undoing) or {}).get("id") == request["id"]:
            return {"outcome": "waits"}
        undone = (self.home.read(UNDONE) or {}).get("id") == request["id"]
        return {"outcome": "undone" if undone else "unknown"}

    def mark(self, state: dict[str, dict[str, Optional[State]]]) -> None:
        """Have a look tell which resource is changed and not confirmed: it may be another in a minute."""
        record = self.home.read(OPEN)
        found = state.get(record["kind"], {}).get(record["name"]) if record else None
        if found is not None:
            found["unconfirmed"] = True

    def settle(self) -> None:
        """Undo what is overdue, what nobody watches any more, and what was open when the machine restarted."""
        record = self.home.read(OPEN)
        if record and (self._due(record) or not self._guarded(record)):
            self._undo()
        end = time.monotonic() + UNDO_S
        while (undoing := self._undoing()) is not None:
            if self._abandoned(undoing):
                self._undo(undoing)
            elif time.monotonic() > end:
                record = self.home.read(undoing)
                if record:
                    raise Refused(_what(record), f"it is not done after {UNDO_S:g} s", "see its log on the machine")
            else:
                time.sleep(POLL_S)

    def _due(self, record: State) -> bool:
        """Overdue; or the machine has restarted, which its clock shows too: it began anew."""
        left_s = record["until"] - time.monotonic()
        boots = {record["boot"], self.system.this_boot()} - {""}  # one that cannot be told is no other one
        return len(boots) > 1 or left_s > START_S + record["within_s"] or left_s <= 0

    def _guarded(self, record: State) -> bool:
        """Whether somebody watches it, or has only just been told to."""
        began = record["until"] - record["within_s"]
        return self._watched() or time.monotonic() < began + START_S

    def _undoing(self) -> Optional[str]:
        """The record that somebody undoes; its name says who."""
        try:
            names = os.listdir(self.home.path("undo"))
        except FileNotFoundError:
            return None
        return next((f"undo/{name}" for name in names if name.startswith(UNDOING)), None)

    def _mine(self) -> str:
        """What a record is called that this process undoes."""
        return f"undo/{UNDOING}{os.getpid()}-{self._mark(os.getpid())}.json"

    def _mark(self, pid: int) -> str:
        return hashlib.sha256(self.system.started(pid).encode()).hexdigest()[:16]

    def _abandoned(self, undoing: str) -> bool:
        """Whether whoever undid it has ended over it, or failed, if it is us."""
        pid = int(undoing.split("-")[1])
        return pid == os.getpid() or undoing != f"undo/{UNDOING}{pid}-{self._mark(pid)}.json"

    def _claim(self, before: str, to: str) -> bool:
        """Rename a record; False when another was quicker."""
        try:
            self.system.replace(self.home.path(before), self.home.path(to))
        except FileNotFoundError:
            return False
        return True

    def _undo(self, record: str = OPEN) -> None:
        """Undo what is open, if anything is; or what another left half undone, once more from the beginning."""
        mine = self._mine()
        if self._claim(record, mine):
            found = self.home.read(mine)
            if found:
                self._restore(found)
                self.home.write(UNDONE, {key: found[key] for key in ("id", "kind", "name")})
            self.system.unwatch()
            discard(self.home.path(mine))

    def _restore(self, record: State) -> None:
        try:
            put_back(self.system, record["kind"], record["name"], self.kinds, record["before"])
            self.home.put_entry(record["kind"], record["name"], record["entry"])
            if record["ran"]:
                running = self._running(record["reload"])
                (self.system.reload_service if running else self.system.start_service)(record["reload"])
        except Refused as refused:
            raise Refused(_what(record), f"could not {refused.what}: {refused.why}", refused.fix) from refused
        except OSError as error:
            raise Refused(_what(record), why_of(error), "look at that on the machine and converge again") from error

    # -- the watcher
    def watch(self) -> int:
        """Watch what is open until it is confirmed or undone. An undoing that fails is tried again and again."""
        if self.home.read(OPEN) is None and self._undoing() is None:
            self.system.unwatch()
            return 0
        self.home.write(WATCHER, {"pid": os.getpid(), "started": self.system.started(os.getpid())})
        while True:
            record, undoing = self.home.read(OPEN), self._undoing()
            if record is None and undoing is None:
                return 0
            try:
                if undoing is not None and self._abandoned(undoing):
                    self._undo(undoing)
                elif record is not None and self._due(record):
                    self._undo()
            except (Refused, OSError) as problem:
                print(problem, file=sys.stderr, flush=True)
                time.sleep(RETRY_S)
            time.sleep(POLL_S)


def _what(record: State) -> str:
    return f"undo an unconfirmed change of {record['kind']} {record['name']}"
