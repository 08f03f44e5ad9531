"""The agent: looks at a machine and changes it. Runs on the machine, under the Python that is there.

    agent.pyz look     everything managed, as one document     {"asked": [[kind, id, spec]], "programs": [...]}
    agent.pyz do       one change, as a transaction            {"kind", "id", "verb": "ensure"|"remove"|"note", "run"}
    agent.pyz wait     how far a job is                        {"job": id, "wait_s": seconds}
    agent.pyz settle   right after it was brought: makes its home private
    agent.pyz read     a file's text, for a before/after       {"id": path, "nonce": str or absent}
    agent.pyz confirm  over a fresh connection: keep a change  {"id": the change's, "keep": False to ask only}
    agent.pyz watch H  undoes what is not confirmed in time, in the agent's home H
    agent.pyz run ID   the detached side of a job
    agent.pyz hold F   Windows: keeps a service or a job running, as the order in F says
    agent.pyz start-compose F   starts a container with the machine, as the order in F says

The request is one line of JSON on stdin (its end is never waited for); the answer is one ASCII document on stdout and
nothing else. An expected failure is {"error": {what, why, fix}} and exit code 1; a traceback is a bug.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any, Optional

from .errors import Refused, fix_of, why_of
from .home import Home
from .jobs import Jobs
from .kinds import adoption
from .kinds.undo import Undo
from .system import Progress, State, System, no_progress


def this_system(home: Optional[str] = None) -> System:
    """The half that fits the machine. The only place that asks which one it is."""
    if os.name == "nt":
        from .windows.system import Windows

        return Windows(home)
    from .posix.system import Posix

    return Posix()


def kinds(system: System, home: Home) -> dict[str, Any]:
    """Every kind of resource by name; each has look(asked), ensure(request, progress), remove(request, progress)."""
    from .kinds.containers import Compose
    from .kinds.downloads import Releases
    from .kinds.files import Directories, Files
    from .kinds.models import Models
    from .kinds.services import Services
    from .kinds.tailnet import Serve
    from .kinds.venvs import Venvs

    every: dict[str, Any] = {
        "file": Files,
        "directory": Directories,
        "release": Releases,
        "service": Services,
        "model": Models,
        "compose": Compose,
        "serve": Serve,
        "venv": Venvs,
    }
    if system.describe()["os"] == "windows":
        from .windows import kinds as windowskinds

        every.update(windowskinds.kinds())
    return {name: kind(system, home) for name, kind in every.items()}


class Agent:
    """The verbs."""

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home
        self.kinds = kinds(system, home)
        self.undo = Undo(system, home, self.kinds)

    def look(self, request: State) -> State:
        """The machine, the manifest, and the state of all that is in either the manifest or the request."""
        from . import machine

        self.undo.settle()
        asked: dict[str, dict[str, State]] = {name: {} for name in self.kinds}
        # what a younger agent made of a kind that this one does not know stays in the manifest for that one
        manifest = [each for each in self.home.manifest() if each["kind"] in self.kinds]
        for each in manifest:
            asked[each["kind"]][each["id"]] = each.get("spec", {})
        for kind, name, spec in request.get("asked", []):
            asked.setdefault(kind, {})[name] = spec
        state = {kind: self._state(kind, wanted) for kind, wanted in asked.items()}
        self._look_below(state, asked)
        self.undo.mark(state)
        return {
            "machine": machine.look(self.system, request.get("programs", [])),
            "manifest": [[each["kind"], each["id"]] for each in manifest],
            "provenance": self.home.read("provenance.json"),
            "state": state,
        }

    def _state(self, kind: str, wanted: dict[str, State]) -> dict[str, Optional[State]]:
        """A kind, or one resource, that cannot be looked at says so; the others are still seen."""
        try:
            return dict(self._kind(kind).look(wanted)) if wanted else {}
        except Refused as refused:
            return {name: {"unknown": refused.to_json()} for name in wanted}
        except OSError as error:
            if len(wanted) > 1:  # one of them, and not the others
                return {name: self._state(kind, {name: spec})[name] for name, spec in wanted.items()}
            fix = "look at that on the machine, then converge again"
            return {name: {"unknown": Refused(f"look at {name}", why_of(error), fix).to_json()} for name in wanted}

    def _look_below(self, state: dict[str, dict[str, Optional[State]]], asked: dict[str, dict[str, State]]) -> None:
        """Say of each folder that is not ours yet whether others may change what is in it, or who owns it."""
        for kind, wanted in asked.items():
            for name, spec in wanted.items():
                try:
                    wide = adoption.others_may_change(self.system, self.home, kind, name, spec)
                except Refused as refused:
                    state[kind][name] = {"unknown": refused.to_json()}
                    continue
                found = state[kind].get(name)
                if wide and found:
                    found["wide"] = True

    def _kind(self, name: str) -> Any:
        if name not in self.kinds:
            why = f"this machine's system has no {name}"
            raise Refused(f"work with a {name}", why, "take it out of this machine's data")
        return self.kinds[name]

    def do(self, request: State) -> State:
        """Make one change; a long one (`job`) goes on by itself, and the answer tells how far it is.

        {"state", "unconfirmed": seconds} for a guarded one: it is undone then, unless `confirm` comes.
        """
        self.home.take_lease(request["run"])
        self.undo.settle()
        self.home.leave_provenance(request["run"])
        if request["verb"] == "ensure":  # before it is a job: that may run as another
            wanted = {**request, **request.get("spec", {})}
            adoption.adopt(self.system, self.home, request["kind"], request["id"], wanted)
        if request.get("job"):
            jobs = Jobs(self.system, self.home)
            return _so_far(jobs.wait(jobs.start(request), request["wait_s"]))
        guard = self.undo.guards(request)
        if guard:
            state = self.undo.change(request, guard, lambda: self.work(request, no_progress))
            return {"state": state, "unconfirmed": guard["within_s"]}
        return {"state": self.work(request, no_progress)}

    def work(self, request: State, progress: Progress) -> State:
        kind = self._kind(request["kind"])
        if request["verb"] == "note":
            guard = {"guarded": request["guarded"]} if request.get("guarded") else {}
            self.home.remember(request["kind"], request["id"], spec=request["spec"], **guard)
            return {}
        change = {"ensure": kind.ensure, "remove": kind.remove}[request["verb"]]
        state: State = change(request, progress)
        return state

    def wait(self, request: State) -> State:
        """How the job ended comes before anything else: on a full disk nobody could renew the lease."""
        answer = _so_far(Jobs(self.system, self.home).wait(request["job"], request["wait_s"]))
        if "job" in answer:
            self.home.take_lease(request["run"])
        return answer

    def settle(self, request: State) -> State:
        """Have the home as private as it shall be: it was made with what Windows had for that."""
        self.system.make_private(self.home.directory)
        return {}

    def read(self, request: State) -> State:
        answer: State = self.kinds["file"].read(request)
        return answer


def _so_far(found: State) -> State:
    """What the desk is told of a job: its answer, or how far it is."""
    if found["state"] == "done":
        return {"state": found["answer"]}
    return {"job": found["job"], "progress": found["progress"]}


def this_agent() -> Agent:
    """The agent of this machine, at home where its file lies."""
    system = this_system()
    return Agent(system, Home(system))


def _request() -> State:
    """One line of stdin, or the file that it names: see `staging`."""
    try:
        request: State = json.loads(sys.stdin.buffer.readline() or b"{}")
        if set(request) == {"staged"}:
            from .staging import taken

            request = json.loads(taken(os.path.dirname(os.path.abspath(sys.argv[0])), request["staged"]))
    except ValueError:
        raise Refused("read the request", "it did not arrive whole", "converge again") from None
    return request


def main() -> int:
    if sys.argv[1] == "hold":
        from .windows.holder import hold

        return hold(sys.argv[2])
    if sys.argv[1] == "start-compose":
        from .kinds.starter import start

        return start(this_system(), sys.argv[2])
    os.umask(0o022)  # a stricter one of this machine must not close what everyone shall read
    if sys.argv[1] == "watch":
        system = this_system(sys.argv[2])
        return Agent(system, Home(system, sys.argv[2])).undo.watch()
    if sys.argv[1] == "run":
        agent = this_agent()
        Jobs(agent.system, agent.home).run(sys.argv[2], agent.work)
        return 0
    answer_to = os.fdopen(os.dup(1), "w", encoding="ascii", newline="\n")
    os.dup2(2, 1)  # whoever else prints talks to stderr, never into the answer
    try:
        request, agent = _request(), this_agent()
        verbs = {"look": agent.look, "do": agent.do, "wait": agent.wait, "read": agent.read}
        verbs["settle"] = agent.settle
        verb = {**verbs, "confirm": agent.undo.confirm}[sys.argv[1]]
        answer, code = verb(request), 0
    except Refused as refused:
        answer, code = {"error": refused.to_json()}, 1
    except OSError as error:
        fix = fix_of(error, "look at that on the machine; or report it")
        refusal = Refused(f"{sys.argv[1]} what was asked", why_of(error), fix)
        answer, code = {"error": refusal.to_json()}, 1
    with answer_to:
        json.dump(answer, answer_to)
        answer_to.write("\n")
    return code
