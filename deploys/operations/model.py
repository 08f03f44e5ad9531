"""Models that a machine's Ollama holds."""

from __future__ import annotations

from typing import Any

from pyinfra import host
from pyinfra.api.operation import OperationMeta

from deploys.facts.look import known
from deploys.operations.resource import Found, Resource, wanted
from deploys.schema import Model


def held(name: str, model: Model, *, engine: str, api: str, store: str) -> OperationMeta:
    """Have the model at its pinned digest, and in memory when it is resident; the one before it stays for a way back.

    + engine: the service that holds it in memory, and lets go of it when it restarts
    + api: Ollama on that machine
    + store: where its models lie, for the free space and for a look while Ollama is down
    """

    def differs(found: Found) -> str | None:
        if found is None:
            return f"missing ({model.size_gb:g} GB to pull)"
        if not found["digest"].startswith(model.digest):
            return f"digest is {found['digest'][:12]}, pinned is {model.digest[:12]}"
        if not model.resident:
            return None
        if not found["loaded"] or ("service", engine) in known(host).changing:
            return "not in memory"
        return None if found["loaded"] == model.context else f"in memory with a context of {found['loaded']} tokens"

    spec = {"api": api, "store": store}

    def request() -> dict[str, Any]:
        return {"spec": spec, "digest": model.digest, "load": model.resident, "context": model.context}

    return wanted(name, Resource("model", model.tag, differs, request, job=True), spec)
