"""Services: ours, which we define, start and remove, and the system's own, which we only have read their settings."""

from __future__ import annotations

import http.client
import time
import urllib.parse
import urllib.request
from typing import Optional

from ..errors import Refused
from ..home import Home
from ..system import Progress, State, System
from .asking import ask_token
from .files import Files

TOO_OFTEN = 3  # falls while somebody waits for it
LEAVING_S = 5.0  # what was just stopped may still hold its place


def answers(url: str, timeout_s: float) -> bool:
    """Whether something at `url` speaks HTTP and is well. No proxy: it is this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s) as reply:
            return bool(200 <= reply.status < 300)
    except (OSError, ValueError, http.client.HTTPException):  # the last: something else than HTTP
        return False


class Services:
    """Kind `service`. Identity: its name. `spec` as in `System.define_service`; without `command` it is not ours.

    State: {"spec", "intact", "running", "enabled", "inputs"} or None. `inputs` are the hashes of the files that it
    had read when it was last started: another hash means that it must start again.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        wanted = [{"name": name, "command": spec.get("command")} for name, spec in asked.items()]
        found = self.system.services(wanted)
        for name, state in found.items():
            if state is not None:
                state["inputs"] = self.home.entry("service", name).get("inputs", {})
                state.pop("process", None)
        return found

    def ensure(self, request: State, progress: Progress) -> State:
        """Define when it differs, (re)start when it must, and wait until it answers.

        `request`: id, spec, inputs {path: sha256}, answers (URL or None), ask (see `ask_token`, or None), within_s,
        reload (bool).
        """
        name, spec = request["id"], request["spec"]
        ours = spec.get("command") is not None
        self.home.remember("service", name, spec=_lasting(spec) if ours else {})
        present = self.system.services([{"name": name, "command": spec.get("command")}])[name]
        if present is None and not ours:
            raise Refused(
                f"use service {name}",
                "there is none of that name",
                "install it, or correct the name in group_data",
            )
        taken = self._taken(name, request.get("answers")) if ours else None
        if taken:
            raise Refused(f"start {name}", taken, "end it there, and see that it does not start again; then converge")
        if ours and not _as_defined(present, spec):
            self.system.define_service({**spec, "name": name})
        if request.get("reload") and present and present["running"]:
            self.system.reload_service(name)
        else:
            self.system.start_service(name)
        self._wait(request)
        self.home.remember("service", name, inputs=request["inputs"])
        self.home.prove(request["inputs"])
        return {"service": self.look({name: spec})}

    def _wait(self, request: State) -> None:
        """Sick after `within_s` seconds: the last good files come back, it starts with them, and we say so."""
        why = self._sick(request)
        if why is None:
            return
        name, url = request["id"], request["answers"]
        back = Files(self.system, self.home).put_back_unproven(request["inputs"])
        if back:
            self.system.start_service(name)
            again = "it still does not answer" if self._silent(name, url, request["within_s"]) else "it answers again"
            raise Refused(f"start {name}", f"{why}; {', '.join(back)} put back, {again}", "correct what changed")
        raise Refused(f"start {name}", why, "see its log on the machine, then converge again")

    def _sick(self, request: State) -> Optional[str]:
        """Why it is not well, or None. `ask`: listening is not enough, a token must come."""
        name, url = request["id"], request.get("answers")
        if url is None:
            return None
        silent = self._silent(name, url, request["within_s"])
        if silent:
            lines = self.system.log_tail(name, 6).splitlines()
            said = " / ".join(line for line in lines if line.strip())[-300:]
            return f"{silent}; it last said: {said or 'nothing'}"
        taken = self._taken(name, url)
        if taken:
            return taken
        try:
            if request.get("ask"):
                ask_token(request["ask"], name)
        except Refused as refused:
            return refused.why
        return None

    def _taken(self, name: str, url: Optional[str]) -> Optional[str]:
        """Who else has the very place where it shall answer, for longer than an end takes; None when nobody.

        It would answer in the service's place, and the service fall over again and again unseen.
        """
        if url is None:
            return None
        end = time.monotonic() + LEAVING_S
        other = self._other_at(name, url)
        while other and time.monotonic() < end:
            time.sleep(0.2)
            other = self._other_at(name, url)
        return other

    def _other_at(self, name: str, url: str) -> Optional[str]:
        """Who listens there just now and is none of the service's own processes."""
        place = urllib.parse.urlsplit(url)
        for each in self.system.listeners():
            there = (each["address"], each["port"]) == (place.hostname, place.port)
            if there and each["process"] and not self.system.runs(name, each["process"]):
                who = f"{each['program']} (process {each['process']})"
                return f"{who}, which is none of its own, listens at {place.hostname}:{place.port}"
        return None

    def _silent(self, name: str, url: str, within_s: float) -> Optional[str]:
        """Wait for its answer. Why there is none, or None; sooner when it keeps falling over."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if answers(url, 2):
                return None
            restarts = self.system.restarts_of(name)
            if restarts >= TOO_OFTEN:
                return f"it fell over {restarts} times"
            time.sleep(0.3)
        return f"it does not answer at {url} within {within_s} s"

    def remove(self, request: State, progress: Progress) -> State:
        name = request["id"]
        if self.home.entry("service", name).get("spec", {}).get("command") is not None:
            self.system.remove_service(name)
        self.home.forget("service", name)
        return {"service": {name: None}}


def _lasting(spec: State) -> State:
    """What is noted of a service of ours: how to look for it, and its folder, which is ours from then on."""
    return {key: spec[key] for key in ("command", "state") if spec.get(key)}


def _as_defined(present: Optional[State], spec: State) -> bool:
    if present is None or not present["intact"] or not present["enabled"]:
        return False
    return bool(present["spec"] == _without_name(spec))


def _without_name(spec: State) -> State:
    return {key: value for key, value in spec.items() if key != "name"}
