"""The gateway without a container: LiteLLM in a virtual environment from a hash-locked list, a service of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pyinfra import host

from deploys.lib.paths import joined
from deploys.operations import download, files, resource, service, venv
from deploys.schema import STOLEN_CREDENTIAL_BUILDS, Gateway, GatewayNative, GatewayPlace, Nonsense, Program
from deploys.schema.base import right_classes

LOCK = "scripts/gateway/requirements.lock"


def this_machine() -> GatewayNative:
    """What the data says of it here. Raises Nonsense when it says nothing."""
    found = host.data.get("gateway_native")
    right_classes(host.name, {"gateway_native": found}, one={"gateway_native": GatewayNative}, several={})
    if found is None:
        raise Nonsense(f"{host.name}: gateway.runtime is 'native' and no gateway_native says how: add it to group_data")
    made: GatewayNative = found
    return made


def native_place(present: GatewayPlace) -> GatewayPlace:
    """Where the gateway is when no container is around it: on the machine's own network."""
    return replace(present, network="host", ollama_url=this_machine().ollama_url)


def run_natively(gateway: Gateway, bind: str, *, written: Sequence[str], answers: str, ask: Mapping[str, Any]) -> None:
    """Make the environment, then let the service run from it. `written`: the gateway's files on the machine."""
    native = this_machine()
    same_version(gateway, files.text_of(LOCK))
    lock, start = joined(gateway.home, "requirements.lock"), joined(gateway.home, "app", "native.py")
    files.copied(name="Write requirements.lock", dest=lock, source=LOCK)
    files.copied(name="Write native.py", dest=start, source="scripts/gateway/native.py", proven_by=native_proof())
    python = _program("Unpack its Python", native.python)
    venv.made(
        name="Make LiteLLM's environment",
        into=native.venvs,
        lock=lock,
        python=python,
        uv=_program("Unpack uv", native.uv),
        program=native.inside,
        index=native.index,
        room_gb=native.room_gb,
    )
    interpreter = joined(venv.place(native.venvs, lock, python), native.inside)
    resource.made_way(name="Stop its container", kind="compose", id="litellm")
    service.running(
        name="Run it, and ask it for a token",
        service=native.service,
        description="LiteLLM, the gateway of the private AI system",
        command=[interpreter, "-I", "-u", "-X", "utf8", start, bind, str(gateway.port)],
        environment={"HOME": native.state},
        state=native.state,
        secrets=joined(gateway.home, "gateway.env"),
        restarts_with=[*written, start, native.venvs],
        answers=answers,
        ask=ask,
        within_s=gateway.healthy_within_s,
    )


def native_proof() -> tuple[str, str]:
    """What shows whether the gateway's files are good."""
    return ("service", this_machine().service)


def _program(name: str, program: Program) -> str:
    """Where it is on the machine; a released one is unpacked there first."""
    if program.release is None:
        return program.program
    download.release(name=name, release=program.release, into=program.home)
    return joined(download.place(program.home, program.release), program.program)


def same_version(gateway: Gateway, lock: str) -> None:
    """Both runtimes are the same LiteLLM, and none that stole credentials."""
    found = re.search(r"^litellm==(\S+)", lock, re.M)
    locked = found[1] if found else "none"
    tag = gateway.image.partition("@")[0].rpartition(":")[2].removeprefix("v")
    if locked in STOLEN_CREDENTIAL_BUILDS:
        raise Nonsense(f"{LOCK} holds LiteLLM {locked}, which stole credentials (March 2026): take another version")
    if locked != tag:
        raise Nonsense(f"{LOCK} holds LiteLLM {locked}, gateway.image is {tag}: correct requirements.in, `make lock`")
