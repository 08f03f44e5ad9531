"""From lanes, routes and models to what `templates/gateway/` renders. Pure: no I/O, no clock, no LiteLLM.

Every lane is a LiteLLM model group under its own name and has no fallbacks. Every route is a group under its own
name: the parameters of its first lane, and the other lanes of its cascade as explicit fallbacks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from deploys.schema import Gateway, Lane, Model, Nonsense, Route, Scalar, normalised
from deploys.schema.gateway import check_routes

Parameter = Scalar | tuple[str, ...]

# Parameters that are fields of Lane: set there, they would stand in the file twice and the last would win.
OWN_FIELDS = frozenset({"model", "api_base", "base_url", "api_key", "timeout", "stream_timeout", "rpm"}) | {
    "input_cost_per_token",
    "output_cost_per_token",
}
OLLAMA = "ollama_chat/"


class Peer(NamedTuple):
    """Another GPU box: its machine name, and its gateway's URL on the tailnet (`http://g16:4000`)."""

    machine: str
    url: str


@dataclass(frozen=True)
class Deployment:
    """One entry of `model_list`.

    `note`: what a reader of the file should know. `key`: the name of a secret. `zero_cost`: prices are set to
    zero, without which LiteLLM ignores `max_input_tokens` of a model that it has no price for.
    """

    name: str
    note: str
    model: str
    api_base: str | None
    key: str | None
    timeout_s: int
    stream_timeout_s: int
    cooldown_s: int
    rpm: int | None
    max_input_tokens: int | None
    zero_cost: bool
    parameters: Mapping[str, Parameter]


@dataclass(frozen=True)
class Wiring:
    """The whole gateway, as the templates need it.

    `left_out`: (lane, secret without a value); `routes_left_out`: (route, secret that it waits for).
    `keys`: the secrets that config.yaml reads from its environment.
    """

    deployments: tuple[Deployment, ...]
    fallbacks: Mapping[str, tuple[str, ...]]
    context_window_fallbacks: Mapping[str, tuple[str, ...]]
    left_out: tuple[tuple[str, str], ...]
    routes_left_out: tuple[tuple[str, str], ...]
    keys: tuple[str, ...]

    @property
    def max_fallbacks(self) -> int:
        """LiteLLM stops after five hops unless told otherwise."""
        return max((len(each) for each in self.fallbacks.values()), default=0) or 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, as sentences for the plan."""
        lanes = [f"lane {lane} is left out: {secret} has no value" for lane, secret in self.left_out]
        routes = [
            f"route {route} is left out: none of its lanes is there (give {secret} a value)"
            for route, secret in self.routes_left_out
        ]
        return (*lanes, *routes)


def secret_names(gateway: Gateway, lanes: Sequence[Lane]) -> tuple[str, ...]:
    """Every secret that the gateway may use: master key, lanes' keys, Slack. Stable order, no doubles."""
    found = [gateway.master_key, *(lane.key for lane in lanes), gateway.slack_webhook]
    return _unique(each.name for each in found if each)


def peer_lanes(gateway: Gateway, lanes: Sequence[Lane], peers: Sequence[Peer]) -> tuple[Lane, ...]:
    """One local lane for each peer: its gateway's lane `local`, with this machine's patience for its own."""
    own = {lane.name: lane for lane in lanes}.get("local") or Lane("local", "openai/local", "local")
    return tuple(
        Lane(
            f"local-{peer.machine.lower()}",
            "openai/local",
            "local",
            api_base=f"{peer.url.rstrip('/')}/v1",
            key=gateway.master_key,
            timeout_s=own.timeout_s,
            stream_timeout_s=own.stream_timeout_s,
            cooldown_s=own.cooldown_s,
        )
        for peer in peers
    )


def cascade_of(route: Route, peers: Sequence[Lane]) -> tuple[str, ...]:
    """The route's lanes, with the peers right behind `local`."""
    names: list[str] = []
    for name in route.cascade:
        names.append(name)
        if name == "local":
            names += [peer.name for peer in peers]
    return _unique(names)


def wire(
    gateway: Gateway,
    lanes: Sequence[Lane],
    routes: Sequence[Route],
    models: Sequence[Model],
    *,
    present: Collection[str],
    peers: Sequence[Peer] = (),
) -> Wiring:
    """The wiring for one machine. `present`: names of the secrets that have a value.

    Raises Nonsense: no master key, names taken twice, routes that `check_routes` refuses, a local lane whose model
    this machine does not hold.
    """
    if gateway.master_key.name not in present:
        raise Nonsense(f"gateway: {gateway.master_key.name} has no value: LiteLLM does not start without a master key")
    others = peer_lanes(gateway, lanes, peers)
    everything = (*lanes, *others)
    _refuse_doubles([*(lane.name for lane in everything), *(route.name for route in routes)])
    check_routes("gateway", everything, routes)

    there = [lane for lane in everything if lane.key is None or lane.key.name in present]
    made = {lane.name: _lane_deployment(gateway, lane, models) for lane in there}
    tiers = {lane.name: lane.tier for lane in there}
    missing = {lane.name: lane.key.name for lane in everything if lane.key and lane.name not in made}

    deployments = list(made.values())
    fallbacks: dict[str, tuple[str, ...]] = {}
    larger: dict[str, tuple[str, ...]] = {}
    routes_left_out: list[tuple[str, str]] = []
    for route in routes:
        cascade = cascade_of(route, others)
        first, *rest = [name for name in cascade if name in made] or [""]
        if not first:
            routes_left_out.append((route.name, missing[cascade[0]]))
            continue
        own = _route_deployment(route, made[first], (first, *rest), models)
        deployments.append(own)
        if rest and tiers[first] != "premium":
            fallbacks[route.name] = tuple(rest)
            if roomier := tuple(name for name in rest if _has_more_room(made[name], own)):
                larger[route.name] = roomier
    keys = _unique(each.key for each in deployments if each.key)
    return Wiring(
        deployments=tuple(deployments),
        fallbacks=fallbacks,
        context_window_fallbacks=larger,
        left_out=tuple(missing.items()),
        routes_left_out=tuple(routes_left_out),
        keys=_unique([gateway.master_key.name, *keys]),
    )


def _refuse_doubles(names: Sequence[str]) -> None:
    if twice := sorted({each for each in names if list(names).count(each) > 1}):
        raise Nonsense(f"gateway: lanes and routes name {', '.join(twice)} twice: keep one")


def base_of(gateway: Gateway, lane: Lane) -> str | None:
    """The URL that the lane's requests go to, or None for its provider's own."""
    return lane.api_base or (gateway.ollama_url if lane.model.startswith(OLLAMA) else None)


def _lane_deployment(gateway: Gateway, lane: Lane, models: Sequence[Model]) -> Deployment:
    base = base_of(gateway, lane)
    if lane.tier == "local" and base is None:
        raise Nonsense(f"Lane({lane.name!r}): api_base is missing: a local lane that is not Ollama needs its own")
    if base and "<" in base:
        raise Nonsense(f"Lane({lane.name!r}): api_base = {base!r} still holds a placeholder: put your own in")
    parameters = {**_ollama_parameters(gateway, lane, models), **_own_parameters("Lane", lane.name, lane.parameters)}
    return Deployment(
        name=lane.name,
        note=f"lane, {lane.tier}",
        model=lane.model,
        api_base=base,
        key=lane.key.name if lane.key else None,
        timeout_s=lane.timeout_s,
        stream_timeout_s=lane.stream_timeout_s,
        cooldown_s=lane.cooldown_s,
        rpm=lane.requests_per_minute,
        max_input_tokens=_room(parameters.get("num_ctx", lane.context)),
        zero_cost=lane.tier == "local" or (lane.tier == "free" and bool(lane.context)),
        parameters=parameters,
    )


def _route_deployment(route: Route, first: Deployment, cascade: Sequence[str], models: Sequence[Model]) -> Deployment:
    parameters = {**first.parameters, **_own_parameters("Route", route.name, route.parameters)}
    window = parameters.get("num_ctx")
    return Deployment(
        **{
            **vars(first),
            "name": route.name,
            "note": f"route{', private' if route.private else ''}: {' -> '.join(cascade)}",
            "max_input_tokens": _room(window) if window else first.max_input_tokens,
            "parameters": parameters,
        }
    )


def _own_parameters(kind: str, name: str, parameters: Mapping[str, Scalar]) -> Mapping[str, Parameter]:
    if taken := sorted(OWN_FIELDS & set(parameters)):
        raise Nonsense(f"{kind}({name!r}): parameters must not set {taken[0]!r}: it is decided by the lane's fields")
    return parameters


def _ollama_parameters(gateway: Gateway, lane: Lane, models: Sequence[Model]) -> dict[str, Parameter]:
    """What a model in Ollama needs said. No keep_alive: how long it stays loaded is the server's to decide."""
    if not lane.model.startswith(OLLAMA):
        return {}
    tag = normalised(lane.model.removeprefix(OLLAMA))
    held = {model.tag: model for model in models}
    if tag not in held and base_of(gateway, lane) == gateway.ollama_url:
        known = ", ".join(sorted(held)) or "none"
        raise Nonsense(f"Lane({lane.name!r}): model = {lane.model!r} is not among this machine's models ({known})")
    parameters: dict[str, Parameter] = {}
    if window := lane.context or (held[tag].context if tag in held else None):
        parameters["num_ctx"] = window
    family = tag.rpartition("/")[2]
    if family.startswith("gemma3"):  # Ollama answers 400 "does not support thinking"
        parameters["additional_drop_params"] = ("thinking", "reasoning_effort")
    elif family.startswith("gemma4"):  # thinks by default, which can eat the whole answer
        parameters["think"] = False
    return parameters


def _room(window: Parameter | None) -> int | None:
    """Prompt tokens that fit into a context window: an eighth is kept for the answer."""
    return window - window // 8 if isinstance(window, int) else None


def _has_more_room(one: Deployment, other: Deployment) -> bool:
    """Whether a prompt that is too long for `other` may fit into `one`. No limit known counts as large."""
    if other.max_input_tokens is None:
        return False
    return one.max_input_tokens is None or one.max_input_tokens > other.max_input_tokens


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


# ---- the environment file ------------------------------------------------------------------------------------------

# Offline: LiteLLM would fetch prices and tokenizers from the net, and wait for them where there is none.
# OLLAMA_API_BASE: some versions (1.104) ask Ollama about every model while they start, and do not start while it hangs.
# Every lane names its own address, so this one serves that question only: a port where nobody listens refuses at once.
SETTINGS = {
    "OLLAMA_API_BASE": "http://127.0.0.1:9",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_OFFLINE_MODE": "true",
    "HF_HUB_OFFLINE": "1",
    "LITELLM_TELEMETRY_DISABLED": "true",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "NO_DOCS": "True",
    "NO_REDOC": "True",
    "NO_OPENAPI": "True",
    "DISABLE_ADMIN_UI": "True",
}
MASKED = "*MASKED*"
PUBLIC_KEY = "sk-1234"  # LiteLLM's documentation uses it, so LiteLLM itself refuses it


def environment(gateway: Gateway, wiring: Wiring, values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(name, what stands behind `NAME=`) for the environment file, sorted. `values`: the secrets' values.

    Only what the wiring uses goes in. Raises Nonsense, which names the secret and never its value.
    """
    pairs = {**SETTINGS, **gateway.environment}
    for name in wiring.keys:
        if name not in values:
            raise Nonsense(f"gateway: {name} has no value: it is needed for the environment file")
        pairs[name] = values[name]
    if gateway.slack_webhook and (hook := values.get(gateway.slack_webhook.name)):
        pairs["SLACK_WEBHOOK_URL"] = hook
    _check_master_key(gateway.master_key.name, values[gateway.master_key.name])
    return tuple((name, _as_it_stands(name, pairs[name])) for name in sorted(pairs))


def _check_master_key(name: str, value: str) -> None:
    if value == PUBLIC_KEY or len(value) < 20:
        raise Nonsense(f"gateway: {name} is too easy to guess: give it at least 20 characters, best sk- and random hex")


def _as_it_stands(name: str, value: str) -> str:
    """The value, if a line of NAME=value can carry it: start.py and the agent read it back as it stands."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Nonsense(f"gateway: environment name {name!r} is not a name")
    if MASKED in value:
        raise Nonsense(f"gateway: {name} holds the text {MASKED}: that is a printed plan's mask, not a value")
    if not value.isprintable():
        raise Nonsense(f"gateway: {name} holds a line break or control character: an environment file cannot carry it")
    return value
