"""Whether a rendered config.yaml is what the data says. Works on the text, so an edited template hides nothing.

LiteLLM's own check lets nearly everything pass: unknown providers, fallbacks to lanes that do not exist, typos.
This one knows the lanes and routes, and holds every line against them.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from deploys.lib.litellm import MASKED, Peer, base_of, cascade_of, peer_lanes
from deploys.schema import Gateway, Lane, Nonsense, Route

FROM_ENVIRONMENT = "os.environ/"
PROVIDERS = frozenset(
    {"ollama_chat", "openai", "cerebras", "gemini", "cloudflare", "groq", "anthropic", "mistral", "openrouter"}
)
FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
TOP = frozenset({"x-first-failure", "model_list", "router_settings", "litellm_settings", "general_settings"})
PRICES = ("input_cost_per_token", "output_cost_per_token")
PARAMETERS = frozenset(
    {*PRICES, "model", "api_base", "api_key", "timeout", "stream_timeout", "rpm", "tpm"}
    | {"additional_drop_params", "think", "reasoning_effort"}
    | {"keep_alive", "num_ctx", "num_predict", "temperature", "top_p", "top_k", "min_p", "seed", "stop"}
    | {"max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty", "repeat_penalty"}
)
MODEL_INFO = frozenset({"id", "max_input_tokens", "max_output_tokens", "cooldown_time", "allowed_fails_policy"})
POLICY = frozenset(
    f"{kind}ErrorAllowedFails"
    for kind in (
        "Timeout",
        "InternalServer",
        "ServiceUnavailable",
        "BadGateway",
        "RateLimit",
        "Authentication",
        "NotFound",
    )
)
ROUTER = frozenset(
    {*FALLBACKS, "num_retries", "max_fallbacks", "enable_pre_call_checks", "optional_pre_call_checks"}
    | {"cooldown_time", "model_group_alias"}
)
LITELLM = frozenset({"num_retries", "drop_params", "turn_off_message_logging", "callbacks", "json_logs"})
GENERAL = frozenset({"master_key", "always_include_stream_usage", "custom_auth", "custom_auth_run_common_checks"})
KEYS = "keys.user_api_key_auth"
ORDER_OF_ITS_OWN = "would send requests where no route says so"
REFUSED = {
    "default_fallbacks": ORDER_OF_ITS_OWN,
    "order": ORDER_OF_ITS_OWN,
    "fallbacks": "belongs into router_settings",
}


class _Strict(yaml.SafeLoader):
    """PyYAML takes the last of two equal keys without a word; this one does not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: list[object] = []
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if name in seen:
                _refuse(f"line {key.start_mark.line + 1} sets {name!r} a second time")
            seen.append(name)
        return super().construct_mapping(node, deep)


def _refuse(why: str) -> NoReturn:
    raise Nonsense(f"config.yaml: {why}")


@dataclass(frozen=True)
class _Wanted:
    """What the data allows one model group to be."""

    model: str
    api_base: str | None
    key: str | None
    targets: tuple[str, ...]  # of its fallbacks: in a cascade, there, never premium
    local: bool


def check_config(
    text: str,
    gateway: Gateway,
    lanes: Sequence[Lane],
    routes: Sequence[Route],
    *,
    present: Collection[str],
    peers: Sequence[Peer] = (),
) -> None:
    """Raises Nonsense (one sentence with the offending key or line) unless the text is right in every part.

    `present`: names of the secrets that have a value; `peers`: as given to `wire`.
    """
    if MASKED in text:
        line = text[: text.index(MASKED)].count("\n") + 1
        _refuse(f"line {line} holds the text {MASKED}: that is a printed plan's mask, not a value")
    config = _parsed(text)
    wanted = _wanted(gateway, lanes, routes, present, peers)
    _known("", config, TOP)
    _check_environment_names(config, present)
    groups = _check_models(_list(config, "model_list"), wanted)
    _check_router(_mapping(config, "router_settings"), wanted, groups)
    _check_litellm(_mapping(config, "litellm_settings"))
    general = _mapping(config, "general_settings")
    _known("general_settings.", general, GENERAL)
    _must_be("general_settings.master_key", general.get("master_key"), FROM_ENVIRONMENT + gateway.master_key.name)
    _must_be("general_settings.custom_auth", general.get("custom_auth"), KEYS)


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        config = yaml.load(text, Loader=_Strict)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        _refuse(f"{line}not YAML: {error.problem}")
    except yaml.YAMLError as error:
        _refuse(f"not YAML: {str(error).splitlines()[0]}")
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        _refuse("is no mapping of sections")
    return config


def _wanted(
    gateway: Gateway, lanes: Sequence[Lane], routes: Sequence[Route], present: Collection[str], peers: Sequence[Peer]
) -> dict[str, _Wanted]:
    others = peer_lanes(gateway, lanes, peers)
    there = {lane.name: lane for lane in (*lanes, *others) if lane.key is None or lane.key.name in present}
    wanted = {lane.name: _as_lane(gateway, lane, ()) for lane in there.values()}
    for route in routes:
        cascade = [there[name] for name in cascade_of(route, others) if name in there]
        if not cascade:
            continue
        targets = [
            lane.name
            for lane in cascade[1:]
            if lane.tier == "local" or (lane.tier == "free" and not route.private and cascade[0].tier != "premium")
        ]
        wanted[route.name] = _as_lane(gateway, cascade[0], tuple(targets))
        if route.private and cascade[0].tier != "local":
            _refuse(f"private route {route.name!r} must not leave the tailnet, but lane {cascade[0].name!r} does")
    return wanted


def _as_lane(gateway: Gateway, lane: Lane, targets: tuple[str, ...]) -> _Wanted:
    key = lane.key.name if lane.key else None
    return _Wanted(lane.model, base_of(gateway, lane), key, targets, lane.tier == "local")


# ---- sections ------------------------------------------------------------------------------------------------------


def _check_models(entries: Sequence[Any], wanted: Mapping[str, _Wanted]) -> set[str]:
    groups: set[str] = set()
    for number, entry in enumerate(entries):
        at = f"model_list[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("model_name"), str):
            _refuse(f"{at} has no model_name")
        name = entry["model_name"]
        _known(f"{at}.", entry, frozenset({"model_name", "litellm_params", "model_info"}))
        if name in groups:
            _refuse(f"{at} gives {name!r} a second deployment: LiteLLM would choose between them by lot")
        if name not in wanted:
            _refuse(f"{at} is called {name!r}, which is neither a lane nor a route that has its key")
        groups.add(name)
        _check_parameters(name, _mapping(entry, "litellm_params", at), wanted[name])
        _check_model_info(name, _mapping(entry, "model_info", at), wanted[name])
    if missing := sorted(set(wanted) - groups):
        _refuse(f"{missing[0]!r} is in the data and not in model_list")
    return groups


def _check_parameters(name: str, parameters: Mapping[str, Any], wanted: _Wanted) -> None:
    at = f"{name}.litellm_params."
    _known(at, parameters, PARAMETERS)
    model = parameters.get("model")
    provider, slash, _ = str(model).partition("/")
    if not slash or provider not in PROVIDERS:
        _refuse(f"{at}model = {model!r} names no provider known here ({', '.join(sorted(PROVIDERS))})")
    _must_be(f"{at}model", model, wanted.model)
    _must_be(f"{at}api_base", parameters.get("api_base"), wanted.api_base)
    _must_be(f"{at}api_key", parameters.get("api_key"), FROM_ENVIRONMENT + wanted.key if wanted.key else None)
    for key in ("timeout", "stream_timeout"):
        if not _is_number(parameters.get(key)) or parameters[key] <= 0:
            _refuse(f"{at}{key} = {parameters.get(key)!r} must be a number of seconds above 0")
    for key in ("rpm", "tpm"):
        if key in parameters and (not _is_number(parameters[key]) or parameters[key] <= 0):
            _refuse(f"{at}{key} = {parameters[key]!r} must be a number above 0")
    if wanted.local:
        for key in PRICES:
            _must_be(f"{at}{key}", parameters.get(key), 0)


def _check_model_info(name: str, info: Mapping[str, Any], wanted: _Wanted) -> None:
    at = f"{name}.model_info."
    _known(at, info, MODEL_INFO)
    _must_be(f"{at}id", info.get("id"), name)
    if not _is_number(info.get("cooldown_time")):
        _refuse(f"{at}cooldown_time = {info.get('cooldown_time')!r} must be a number of seconds")
    policy = _mapping(info, "allowed_fails_policy", f"{name}.model_info")
    _known(f"{at}allowed_fails_policy.", policy, POLICY)
    for kind in ("TimeoutErrorAllowedFails", "InternalServerErrorAllowedFails", "RateLimitErrorAllowedFails"):
        _must_be(f"{at}allowed_fails_policy.{kind}", policy.get(kind), 0)
    limit = info.get("max_input_tokens")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit <= 0):
        _refuse(f"{at}max_input_tokens = {limit!r} must be a number of tokens")
    if limit is None and wanted.model.startswith("ollama_chat/") and wanted.api_base:
        _refuse(f"{at}max_input_tokens is missing: Ollama cuts long prompts off without a word")


def _check_router(router: Mapping[str, Any], wanted: Mapping[str, _Wanted], groups: Collection[str]) -> None:
    _known("router_settings.", router, ROUTER)
    _must_be("router_settings.num_retries", router.get("num_retries"), 0)
    _must_be("router_settings.enable_pre_call_checks", router.get("enable_pre_call_checks"), True)
    checks = router.get("optional_pre_call_checks")
    _must_be("router_settings.optional_pre_call_checks", checks, ["enforce_model_rate_limits"])
    longest = 1
    for section in FALLBACKS:
        for source, targets in _fallbacks(section, router.get(section, [])):
            longest = max(longest, len(targets))
            _check_fallback(section, source, targets, wanted, groups)
    hops = router.get("max_fallbacks")
    if not isinstance(hops, int) or hops < longest:
        _refuse(f"router_settings.max_fallbacks = {hops!r} cuts off a cascade of {longest}")
    for alias, target in _mapping({"model_group_alias": {}, **router}, "model_group_alias").items():
        group = target.get("model") if isinstance(target, dict) else target
        if alias in groups:
            _refuse(f"router_settings.model_group_alias.{alias} hides the lane or route of that name")
        if not isinstance(group, str) or group not in groups:
            _refuse(f"router_settings.model_group_alias.{alias} leads to {group!r}, which does not exist")


def _fallbacks(section: str, entries: object) -> Iterator[tuple[str, list[Any]]]:
    at = f"router_settings.{section}"
    if not isinstance(entries, list):
        _refuse(f"{at} must be a list of single entries such as `- route: [lane]`")
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or len(entry) != 1 or not all(isinstance(key, str) for key in entry):
            _refuse(f"{at}[{number}] must be one entry such as `- route: [lane]`")
        (source, targets) = next(iter(entry.items()))
        if not isinstance(targets, list) or not targets or not all(isinstance(each, str) for each in targets):
            _refuse(f"{at}[{number}] must give {source!r} a list of lanes: LiteLLM does not start with anything else")
        if source in seen:
            _refuse(f"{at}[{number}] names {source!r} a second time")
        seen.add(source)
        yield source, targets


def _check_fallback(
    section: str, source: str, targets: Sequence[Any], wanted: Mapping[str, _Wanted], groups: Collection[str]
) -> None:
    at = f"router_settings.{section}"
    if source not in groups:
        _refuse(f"{at} has a cascade for {source!r}, which does not exist")
    for target in targets:
        if target not in groups:
            _refuse(f"{at}.{source} leads to {target!r}, which does not exist")
        if target not in wanted[source].targets:
            _refuse(f"{at}.{source} leads to {target!r}, which the data does not allow there")
    if len(set(targets)) != len(targets):
        _refuse(f"{at}.{source} names a lane twice")


def _check_litellm(settings: Mapping[str, Any]) -> None:
    _known("litellm_settings.", settings, LITELLM)
    _must_be("litellm_settings.num_retries", settings.get("num_retries"), 0)
    for key in ("drop_params", "turn_off_message_logging"):
        _must_be(f"litellm_settings.{key}", settings.get(key), True)
    callbacks = settings.get("callbacks")
    if not isinstance(callbacks, list) or "guard.handler" not in callbacks:
        _refuse(f"litellm_settings.callbacks = {callbacks!r} must be a list that holds guard.handler")


# ---- words ---------------------------------------------------------------------------------------------------------


def _known(at: str, found: Mapping[str, Any], known: Collection[str]) -> None:
    for key in found:
        if key not in known:
            why = REFUSED.get(key, f"is not known here ({', '.join(sorted(known))})")
            _refuse(f"{at}{key} {why}")


def _must_be(at: str, found: object, wanted: object) -> None:
    if type(found) is not type(wanted) or found != wanted:
        _refuse(f"{at} = {found!r} must be {wanted!r}" if wanted is not None else f"{at} = {found!r} must not be set")


def _mapping(parent: Mapping[str, Any], key: str, at: str = "") -> Mapping[str, Any]:
    if not isinstance(found := parent.get(key), dict):
        _refuse(f"{at}{'.' if at else ''}{key} is missing or no mapping")
    return found


def _list(parent: Mapping[str, Any], key: str) -> list[Any]:
    if not isinstance(found := parent.get(key), list) or not found:
        _refuse(f"{key} is missing, empty or no list")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_environment_names(value: object, present: Collection[str], at: str = "") -> None:
    """Every os.environ/NAME, wherever it stands, must be one of the secrets that have a value."""
    if isinstance(value, dict):
        for key, each in value.items():
            _check_environment_names(each, present, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            _check_environment_names(each, present, f"{at}[{number}]")
    elif isinstance(value, str) and FROM_ENVIRONMENT in value:
        name = value.removeprefix(FROM_ENVIRONMENT)
        if name not in present:
            _refuse(f"{at} = {value!r}, but {name} is no secret that has a value")


def check_environment(text: str) -> None:
    """The rendered gateway.env: NAME=value lines only, each name once, no mask. Raises Nonsense without any value."""
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.isidentifier():
            raise Nonsense(f"gateway.env: line {number} is not NAME=value")
        if MASKED in value:
            raise Nonsense(f"gateway.env: line {number} ({name}) holds the text {MASKED}: that is a mask, not a value")
        if name in seen:
            raise Nonsense(f"gateway.env: line {number} sets {name} a second time")
        seen.add(name)
