"""Tasks: programs that run at given times, and end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyinfra.api.operation import OperationMeta

from deploys.operations.resource import Found, Resource, wanted
from deploys.operations.service import inputs, stale
from deploys.schema import ScheduledTask


def scheduled(
    name: str, task: ScheduledTask, *, restarts_with: Sequence[str] = (), run_now: bool = False
) -> OperationMeta:
    """Have the task defined, all of it, and on. One that runs when it changes is ended whole and started again.

    + restarts_with: paths of files.config and of download.release that it reads
    + run_now: have it run when it is new or changed, or when one of these files has changed since
    """
    spec = task.spec()

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing"
        if found["spec"] != spec:
            there = found["spec"] or {}
            return f"differs in {', '.join(sorted(key for key in spec if there.get(key) != spec[key])) or 'more'}"
        if found["enabled"] is not task.enabled:
            return "is off" if task.enabled else "is on"
        if not found["intact"]:
            return "was changed by hand"
        return stale(found, inputs(restarts_with))

    def request() -> dict[str, Any]:
        return {"spec": spec, "inputs": inputs(restarts_with), "run": run_now}

    return wanted(name, Resource("task", task.name, differs, request), spec)
