"""The one operation under all of ours: compare what the look says with what is wanted, and yield at most one change.

Each public operation (files.config, service.running, ...) describes a Resource and hands it to `ensure`.
"""

from __future__ import annotations

import dataclasses
import functools
import getpass
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import Any, Literal

from pyinfra import host, state
from pyinfra.api import Host, State, operation
from pyinfra.api.arguments import ConnectorArguments
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import OperationMeta

from deploys.facts import link, report
from deploys.facts.look import Machine, declare, itself, known, renew, state_of
from deploys.operations import guarded
from deploys.schema import Nonsense

JOB_POLL_S = 5
FIRST_WAIT_S = 3
STAYS = {  # what leaves the data and is forgotten, no more: others may use it by now
    "feature": "it stays as it is on the machine",
    "installer": "it stays installed",
}
WHOLE_TREES = {"release", "venv"}  # thousands of files: removing them can take longer than one answer may

Found = dict[str, Any] | None


class Stop(Exception):
    """Nothing more happens on this machine in this run: one sentence."""


@dataclass(frozen=True)
class Resource:
    """What one operation wants.

    `differs(found)` gives the reason for a change, or None. `request` is what the agent needs to make it so, built
    only when it must. `job`: long work, which outlives the connection. `difference`: a before/after for the plan.
    `when_right`: what becomes of one that is right already and never was ours: `note` it, `ensure` it all the same, so
    that the machine keeps what it had before us, or `nothing`. `settle`: what the desk does before it goes on.
    """

    kind: str
    id: str
    differs: Callable[[Found], str | None]
    request: Callable[[], Mapping[str, Any]]
    verb: str = "ensure"
    job: bool = False
    difference: Callable[[Found], str] = field(default=lambda _: "")
    when_right: Literal["note", "ensure", "nothing"] = "note"
    settle: Callable[[link.Answer], link.Answer] = field(default=lambda answer: answer)
    guard: Mapping[str, Any] | None = None  # for the way in, from `guarded.guard`: undone unless it can be confirmed


def wanted(name: str, resource: Resource, spec: Mapping[str, Any] | None = None, **facts: Any) -> OperationMeta:
    """Enter the resource for the one look, then have pyinfra compare and change it. `facts`: for other operations."""
    declare(host, resource.kind, resource.id, spec or {}, **facts)
    return ensure(name=name, resource=resource)


@operation()
def ensure(resource: Resource) -> Generator[PyinfraCommand, None, None]:
    """Make one resource so. Yields nothing when it is so already."""
    try:
        found = state_of(host, resource.kind, resource.id)
        why = resource.differs(found)
        if why is None and found and found.get("unconfirmed"):
            why = "was changed, and is undone soon: nobody could confirm it over a fresh connection"
        if why is None and found and found.get("wide"):
            why = "others than administrators may change what is in it"
        difference = resource.difference(found) if why and not state.is_executing else ""
    except (link.Failed, link.Unreachable, Nonsense) as problem:
        if not state.is_executing:
            raise Stop(str(problem)) from problem
        yield Refuse(str(problem))
        return
    ours = (resource.kind, resource.id) in known(host).manifest
    if why is None and not ours and resource.when_right != "nothing":
        # Right by chance, or by somebody else: noted, it is looked at with the rest and leaves with the data.
        why = "as wanted, but not noted as ours"
        if resource.when_right == "note":
            spec = known(host).asked[resource.kind, resource.id]
            resource = dataclasses.replace(resource, verb="note", request=lambda: {"spec": spec}, job=False)
    if why is None:
        host.noop(f"{resource.kind} {resource.id} is as wanted")
        return
    if resource.verb != "note":
        known(host).changing.add((resource.kind, resource.id))
    if not state.is_executing:
        report.planned(host, resource.kind, resource.id, why, difference)
    yield Change(resource, why)


class Change(PyinfraCommand):
    """One `agent do`. It counts as made when its whole answer is there; the answer renews what we know."""

    def __init__(self, resource: Resource, why: str) -> None:
        super().__init__()
        self.resource = resource
        self.why = why

    def __repr__(self) -> str:
        return f"Change({self.resource.verb} {self.resource.kind} {self.resource.id}: {report.masked(self.why)})"

    def execute(self, state: State, host: Host, connector_arguments: ConnectorArguments) -> bool:
        resource = self.resource
        try:
            request = {
                **resource.request(),
                "kind": resource.kind,
                "id": resource.id,
                "verb": resource.verb,
                "run": this_run(),
                **({"guarded": dict(resource.guard)} if resource.guard else {}),
            }
            if resource.job:
                answer = self._watch(host, {**request, "job": True, "wait_s": FIRST_WAIT_S})
            else:
                answer = guarded.ask(host, request)
            answer = resource.settle(answer)
        except (link.Failed, link.Unreachable, Nonsense) as problem:
            report.refused(host, f"{host.name}: {problem}")
            return False
        except Exception as problem:  # whatever else it is must end this machine alone
            what = f"{resource.kind} {resource.id}: {type(problem).__name__}: {problem}"
            report.refused(host, f"{host.name}: {what} (a bug in this repository: please report it)")
            return False
        renew(host, answer["state"])
        if resource.verb == "remove":
            known(host).manifest = [each for each in known(host).manifest if each != (resource.kind, resource.id)]
        report.changed(host, resource.kind, resource.id, self.why)
        return True

    @staticmethod
    def _watch(host: Host, request: Mapping[str, Any]) -> link.Answer:
        """Start the job, or find it again, and tell how far it is until it is done."""
        answer = link.ask(host, "do", dict(request))
        pace = Pace()
        while "job" in answer:
            report.progress(host, f"{request['id']}: {pace.tell(answer['progress'])}")
            waiting = {"job": answer["job"], "wait_s": JOB_POLL_S, "run": request["run"]}
            answer = link.ask(host, "wait", waiting)
        return answer


class Refuse(PyinfraCommand):
    """Ends this machine's run with one sentence."""

    def __init__(self, sentence: str) -> None:
        super().__init__()
        self.sentence = sentence

    def __repr__(self) -> str:
        return f"Refuse({report.masked(self.sentence)})"

    def execute(self, state: State, host: Host, connector_arguments: ConnectorArguments) -> bool:
        report.refused(host, f"{host.name}: {self.sentence}")
        return False


class Pace:
    """Bytes, rate and time left of a long work, from the samples that the machine gives."""

    def __init__(self) -> None:
        self.last: tuple[float, int] | None = None

    def tell(self, progress: Mapping[str, Any]) -> str:
        what = progress.get("what") or "working"
        if "done" not in progress:
            return what
        now, done, total = time.monotonic(), progress["done"], progress["total"]
        text = f"{what} {_size(done)} of {_size(total)}"
        if self.last and now > self.last[0] and done > self.last[1]:
            rate = (done - self.last[1]) / (now - self.last[0])
            text += f", {_size(rate)}/s, {_duration((total - done) / rate)} left"
        self.last = (now, done)
        return text


def _size(count: float) -> str:
    """Bytes in the unit that reads best."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return f"{count / size:.2f} {unit}"
    return f"{count / 1e3:.0f} KB"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


@functools.cache
def this_run() -> dict[str, str]:
    """Who changes the machines, from where and from which commit: for the lease and the provenance left there."""
    return {
        "id": uuid.uuid4().hex,
        "by": getpass.getuser(),
        "desk": gethostname(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit of this checkout, with a + when there are changes beyond it."""
    top = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=top,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def removed(name: str, kind: str, id: str) -> OperationMeta:
    """Remove a resource that an earlier converge made and the data no longer names."""
    why = "no longer in the data" + (f"; {STAYS[kind]}" if kind in STAYS else "")
    resource = Resource(kind, id, lambda _: why, dict, verb="remove", job=kind in WHOLE_TREES)
    return ensure(name=name, resource=resource)


def made_way(name: str, kind: str, id: str) -> None:
    """Remove now, ahead of the burial at the end, what an earlier converge made and what comes next takes the place of.

    Nothing happens where no converge made it.
    """
    itself(host)
    if (kind, id) in known(host).manifest:
        known(host).declared[kind, id] = {}
        removed(name=name, kind=kind, id=id)


def leave(kind: str, id: str) -> None:
    """Leave what an earlier converge made as it is, though nothing of this run wants it."""
    known(host).declared[kind, id] = {}


def orphans(machine: Machine) -> list[tuple[str, str]]:
    """What the manifest names and the data does not, youngest first: users of a thing go before the thing."""
    return [each for each in reversed(machine.manifest) if each not in machine.declared]
