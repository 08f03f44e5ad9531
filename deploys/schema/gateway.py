"""What the data says of the gateway: its lanes, its routes, and where it stands."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from deploys.schema.base import Data, Nonsense, Release, Scalar, Secret, data, must_match, port_of_service

STOLEN_CREDENTIAL_BUILDS = ("1.82.7", "1.82.8")


@data
class Lane(Data):
    """One way to a model, by LiteLLM's name for it (`groq/openai/gpt-oss-120b`).

    `tier`: `local` stays on the tailnet, `free` is a cloud lane for cascades, `premium` costs money and is only
    ever called by name. A lane whose key is absent is left out, and the plan says so.
    `stream_timeout_s` is the wait for the first token and the longest silence; `timeout_s` a whole answer.
    """

    name: str
    model: str
    tier: Literal["local", "free", "premium"]
    api_base: str | None = None
    key: Secret | None = None
    timeout_s: int = 60
    stream_timeout_s: int = 20
    cooldown_s: int = 30
    requests_per_minute: int | None = None
    context: int | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)

    def refuse_nonsense(self) -> None:
        must_match(self, "name", r"[a-z][a-z0-9-]*", "a lower-case name")
        must_match(self, "model", r"[a-z_]+/\S+", "a LiteLLM model such as groq/openai/gpt-oss-120b")
        if self.tier != "local" and self.key is None:
            self.refuse("key", f"is missing: a {self.tier} lane needs Secret(...)")
        if not 0 < self.stream_timeout_s <= self.timeout_s:
            self.refuse("stream_timeout_s", f"must be above 0 and at most timeout_s ({self.timeout_s})")


@data
class Route(Data):
    """A task's name and the lanes that answer it, nearest first. `private` never leaves the tailnet."""

    name: str
    cascade: Sequence[str]
    private: bool = False
    parameters: Mapping[str, Scalar] = field(default_factory=dict)

    def refuse_nonsense(self) -> None:
        must_match(self, "name", r"[a-z][a-z0-9-]*", "a lower-case name")
        if not self.cascade:
            self.refuse("cascade", "names no lane")
        if len(set(self.cascade)) != len(self.cascade):
            self.refuse("cascade", "names a lane twice")


@data
class Gateway(Data):
    """The LiteLLM proxy: one OpenAI-compatible door on the tailnet.

    `runtime`: `docker` runs `image`; `native` runs the same version out of scripts/gateway/requirements.lock.
    `image`: `name:tag@sha256:...`, so that a moved tag cannot change what runs.
    `publish`: `address` binds the machine's tailnet address; `serve` binds loopback and lets Tailscale forward.
    """

    image: str
    master_key: Secret
    runtime: Literal["docker", "native"] = "docker"
    port: int = 4000
    publish: Literal["address", "serve"] = "address"
    healthy_within_s: int = 180
    environment: Mapping[str, str] = field(default_factory=dict)
    slack_webhook: Secret | None = None
    home: str = ""
    network: Literal["host", "bridge"] = "host"
    ollama_url: str = "http://127.0.0.1:11434"

    def at(self, place: GatewayPlace) -> Gateway:
        """This gateway on a system: `home`, `network` and `ollama_url` are that system's, not the gateway's."""
        return dataclasses.replace(self, **{each.name: getattr(place, each.name) for each in dataclasses.fields(place)})

    def refuse_nonsense(self) -> None:
        port_of_service(self, "port")
        must_match(self, "image", r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", "an image pinned as name:tag@sha256:digest")
        if any(f":v{bad}@" in self.image or f":{bad}@" in self.image for bad in STOLEN_CREDENTIAL_BUILDS):
            self.refuse("image", "is a build that stole credentials (March 2026): take another version")


@data
class GatewayPlace(Data):
    """Where the gateway lives on a system, how its container is on the network, how it reaches Ollama from there."""

    home: str
    network: Literal["host", "bridge"] = "host"
    ollama_url: str = "http://127.0.0.1:11434"


def check_routes(machine: str, lanes: Sequence[Lane], routes: Sequence[Route]) -> None:
    """Every route must lead to lanes that exist; premium is alone; private stays on the tailnet. Raises Nonsense."""
    tiers = {each.name: each.tier for each in lanes}
    for route in routes:
        which = f"{machine}: route {route.name!r}"
        for lane in route.cascade:
            if lane not in tiers:
                known = ", ".join(sorted(tiers)) or "none"
                raise Nonsense(f"{which} leads to lane {lane!r}, which does not exist (lanes: {known})")
            if route.private and tiers[lane] != "local":
                raise Nonsense(f"{which} is private and must not leave the tailnet, but lane {lane!r} is {tiers[lane]}")
            if tiers[lane] == "premium" and len(route.cascade) > 1:
                raise Nonsense(f"{which} has premium lane {lane!r} in a cascade: premium is only called by name")


@data
class Program(Data):
    """A program: of a published archive, whose versions lie below `home`, or without one the machine's own."""

    program: str
    home: str = ""
    release: Release | None = None

    def refuse_nonsense(self) -> None:
        if (self.release is None) != (self.home == ""):
            self.refuse("home", "must say where the release's versions lie, and nothing without a release")


@data
class GatewayNative(Data):
    """The gateway without a container on a system: a virtual environment made by uv, run as a service of ours.

    `inside`: the environment's own Python, in it. `state`: all that the service's account may write.
    `index`: where packages come from; none is uv's own default. `room_gb`: what must be free to make it.
    """

    uv: Program
    python: Program
    venvs: str
    inside: str
    state: str
    service: str = "litellm"
    ollama_url: str = "http://127.0.0.1:11434"
    index: str | None = None
    room_gb: float = 3.0
