"""Services: what starts with the machine and is kept running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra import host
from pyinfra.api.operation import OperationMeta

from deploys.facts.look import known, sha256_wanted
from deploys.operations.resource import Found, Resource, wanted


def running(
    name: str,
    service: str,
    *,
    command: Sequence[str],
    description: str,
    environment: Mapping[str, str],
    account: str = "own",
    state: str = "",
    secrets: str = "",
    restarts_with: Sequence[str] = (),
    answers: str | None = None,
    ask: Mapping[str, Any] | None = None,
    within_s: int = 60,
) -> OperationMeta:
    """Have our own service defined, started with the machine and running; stopped, its whole process tree goes.

    + account: `own`, a user that owns nothing but `state`, or `system`
    + secrets: path of a file that only administrators may read: it finds the content in the file that its environment
      calls SECRETS_FILE, or without that word on its standard input
    + restarts_with: paths of files.config, download.release and venv.made; started again when one of them changed since
    + answers: a URL that must answer; when it does not, the last good files are put back
    + ask: {"url", "model", "key_file", "key_name", "within_s"}: a token that must come back too
    """
    spec = {
        "description": description,
        "account": account,
        "state": state,
        "environment": dict(environment),
        "command": list(command),
        **({"secrets": secrets} if secrets else {}),
    }

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing"
        if found["spec"] != spec or not found["intact"]:
            return f"definition differs{_fields(found['spec'], spec)}"
        if not found["enabled"]:
            return "does not start with the machine"
        return _not_running(found, inputs(restarts_with))

    def request() -> dict[str, Any]:
        return {"spec": spec, "inputs": inputs(restarts_with), "answers": answers, "ask": ask, "within_s": within_s}

    resource = Resource("service", service, differs, request, job=answers is not None)
    asked: dict[str, Any] = {key: spec[key] for key in ("command", "account", "state", "secrets") if key in spec}
    return wanted(name, resource, asked)


def reads(
    name: str, service: str, *, restarts_with: Sequence[str], guard: Mapping[str, Any] | None = None
) -> OperationMeta:
    """Have a service of the system's own run with the present content of its files: it reloads, no session is cut.

    + guard: from `guarded.guard`, for a service of the way in
    """

    def differs(found: Found) -> str | None:
        return "missing" if found is None else _not_running(found, inputs(restarts_with))

    def request() -> dict[str, Any]:
        return {"spec": {}, "inputs": inputs(restarts_with), "reload": True, "within_s": 60}

    return wanted(name, Resource("service", service, differs, request, guard=guard))


def inputs(paths: Sequence[str]) -> dict[str, str]:
    """{path: sha256} that this run wants those files to have."""
    return {path: sha256_wanted(host, path) for path in paths}


def stale(found: Mapping[str, Any], now: Mapping[str, str]) -> str | None:
    """Why it must start again for its files, or None."""
    changed = sorted(path for path in now if found["inputs"].get(path) != now[path])
    if changed:
        return f"has not read {', '.join(changed)} yet"
    made = {name for kind, name in known(host).changing if kind in ("release", "venv")}
    remade = [path for path in now if path in made]
    return f"was started from {remade[0]} before that was made anew" if remade else None


def _not_running(found: Mapping[str, Any], now: Mapping[str, str]) -> str | None:
    return stale(found, now) if found["running"] else "not running"


def _fields(there: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> str:
    """Which parts of a definition differ, by name."""
    if there is None:
        return ""
    names = sorted(key for key in wanted if there.get(key) != wanted[key])
    return f" in {', '.join(names)}" if names else " (edited by hand)"
