"""Container projects under Docker Compose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra.api.operation import OperationMeta

from deploys.lib.paths import joined
from deploys.operations.resource import Found, Resource, wanted
from deploys.operations.service import inputs, stale
from deploys.schema import Agent, ScheduledTask, Trigger


def up(
    name: str,
    project: str,
    *,
    file: str,
    image: str,
    answers: str,
    within_s: int,
    restarts_with: Sequence[str] = (),
    ask: Mapping[str, Any] | None = None,
) -> OperationMeta:
    """Have the project's one container run `image` with the present content of its files, and answer.

    + answers: the URL whose answer means health
    + ask: {"url", "model", "key_file", "key_name", "within_s"}: a token that must come back after a start
    When it comes up sick, the last good files are put back and the run ends with the reason.
    """
    spec = {"answers": answers}

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing"
        if found.get("trouble"):
            return str(found["trouble"])
        if found["image"] != image:
            return f"runs {found['image']}"
        if not found["running"]:
            return "not running"
        if not found["untouched"]:
            return "it is not the one container that the last converge made"
        return stale(found, inputs(restarts_with)) or (None if found["answers"] else f"does not answer at {answers}")

    def request() -> dict[str, Any]:
        return {
            "spec": spec,
            "file": file,
            "image": image,
            "inputs": inputs(restarts_with),
            "within_s": within_s,
            "ask": dict(ask) if ask else None,
        }

    return wanted(name, Resource("compose", project, differs, request, job=True), spec)


def start_order(agent: Agent, project: str, *, file: str, address: str, answers: str, within_s: int) -> str:
    """What the machine's own starter of a project reads: see the agent's `starter`."""
    order = {"project": project, "file": file, "address": address, "answers": answers, "within_s": within_s}
    return json.dumps({**order, "home": agent.home}, indent=1) + "\n"


def starter(agent: Agent, name: str, order: str) -> ScheduledTask:
    """The task that starts a project where no service of the system does: Docker comes there with a user's logon.

    At boot, because logging on may be automatic and the machine up before; at every logon, because Docker goes with
    its session. It needs no rights of a user: the engine lets the system itself in.
    """
    program = joined(agent.home, "tasks", name, "holder.pyz")  # the copy of the agent that each task keeps
    return ScheduledTask(
        name,
        command=[*agent.python.split(), program, "start-compose", order],
        triggers=[Trigger("boot"), Trigger("logon")],
        description="Starts the containers of the private AI system",
    )
