"""Changes to the way in: made, and kept only when a fresh connection comes through with them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from pyinfra import host as this_host
from pyinfra.api import Host

from deploys.facts import link
from deploys.facts.fresh_connection import fresh
from deploys.schema import Agent

PAUSE_S = 1
UNDONE_WITHIN_S = 60  # beyond its time: what the machine may take to undo it and to be reachable again


def guard(reload: str | None = None) -> dict[str, Any]:
    """For `Resource(guard=...)`. `reload`: the service that reads the file; it does so at once."""
    agent: Agent = this_host.data.agent
    return {"within_s": agent.undo_after_s, **({"reload": reload} if reload else {})}


def ask(host: Host, request: Mapping[str, Any]) -> link.Answer:
    """`agent do`; what comes back unconfirmed is confirmed, or known to be undone: then link.Unreachable is raised."""
    change = uuid.uuid4().hex
    try:
        answer = link.ask(host, "do", {**request, "change": change})
    except link.Unreachable as problem:
        if request.get("guarded"):
            outcome, _ = _ended(host, change, request["guarded"]["within_s"], keep=False)
            raise link.Unreachable(f"{problem}; {_told(request, outcome)}") from problem
        raise
    if "unconfirmed" not in answer:
        return answer
    within_s = answer["unconfirmed"]
    outcome, trouble = _ended(host, change, within_s, keep=True)
    if outcome != "kept":
        why = f"no fresh SSH connection came through within {within_s} s{f' ({trouble})' if trouble else ''}"
        raise link.Unreachable(f"{request['kind']} {request['id']} is not changed: {why}; {_told(request, outcome)}")
    return answer


def _ended(host: Host, change: str, within_s: int, *, keep: bool) -> tuple[str, str]:
    """How it ended, asked over fresh connections only, and what kept the first one from coming through.

    "kept", "undone", "unknown" (the machine knows no such change), or "waits" where nobody could be asked in time.
    """
    end = time.monotonic() + within_s + UNDONE_WITHIN_S
    trouble = ""
    while time.monotonic() < end:
        try:
            with fresh(host) as again:
                outcome = str(link.ask(again, "confirm", {"id": change, "keep": keep})["outcome"])
            if outcome != "waits":
                return outcome, trouble
        except (link.Unreachable, link.Failed) as problem:
            trouble = trouble or str(problem)
        time.sleep(PAUSE_S)
    return "waits", trouble


def _told(request: Mapping[str, Any], outcome: str) -> str:
    what = f"{request['kind']} {request['id']}"
    return {
        "undone": "the machine undid it and is reachable as before: correct the data and converge again",
        "unknown": f"nothing was begun on {what}: converge again",
        "kept": f"{what} was changed and kept: converge again",
        "waits": "the machine undoes it by itself, but cannot be reached yet: try again in some minutes, or go there",
    }[outcome]
