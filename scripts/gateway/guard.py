"""Runs inside LiteLLM, beside config.yaml: refuses requests that bring their own way to a model.

LiteLLM honours `fallbacks`, `api_base`, `user_config` and more in a request's body. With them a client could steer a
private route off the tailnet, or reach a premium lane by fallback. Which lanes answer is decided by group_data alone.
config.yaml loads it with `litellm_settings.callbacks: [guard.handler]`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger

# What LiteLLM reads from a request to choose lane, address, account or transport.
ROUTING = frozenset(
    {"model_list", "model_info", "user_config", "router_settings", "router_settings_override", "litellm_params"}
    | {"specific_deployment", "silent_model", "_target_order", "attempted_targets", "weights", "_router_weights"}
    | {"routing_strategy", "routing_strategy_args", "routing_groups", "model_group_retry_policy", "prompt_id"}
    | {"custom_llm_provider", "use_litellm_proxy", "litellm_credential_name", "litellm_embedding_config", "azure"}
    | {"passthrough_on_no_deployment", "cooldown_time", "allowed_model_region", "fallback_model_group", "agent"}
    | {"context_window_fallback_dict", "hf_model_name", "base_model", "rust", "deployment_url", "provider_url"}
)
TRANSPORT = frozenset(
    {"organization", "headers", "extra_headers", "provider_specific_header", "client", "proxy", "ssl_verify", "use_ssl"}
    | {"client_id", "client_secret", "tenant_id", "region_name", "api_type", "api_version", "allowed_openai_params"}
)
# Families, so that a new member of one is refused before anybody here has heard of it.
FAMILIES = ("fallbacks", "api_base", "base_url", "api_key", "endpoint_url", "_credentials", "mock_", "aws_", "vertex_")
HARMLESS = frozenset({"disable_fallbacks", "include_fallback_errors"})  # they only ever narrow or tell
NESTED = ("metadata", "litellm_metadata", "extra_body")
# LiteLLM adds to a request before it asks here. These it writes itself, over whatever a client sent.
ADDED_TO_BODY = frozenset({"provider_specific_header", "litellm_logging_obj", "proxy_server_request", "secret_fields"})
ADDED_TO_METADATA = ("user_api_", "headers")
# Bodies that go to a provider as they are, past every lane and route.
PASS_THROUGH = frozenset({"pass_through_endpoint", "allm_passthrough_route"})


def is_steering(name: object) -> bool:
    """Whether a field of a request's body would choose the way to a model."""
    if not isinstance(name, str):
        return False
    word = name.lower().replace("-", "_").partition("[")[0]
    if word in HARMLESS:
        return False
    return word in ROUTING or word in TRANSPORT or any(family in word for family in FAMILIES)


def _as_mapping(value: object) -> Mapping[str, Any]:
    """A nested container; LiteLLM also takes one that is written as a JSON string."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, Mapping) else {}


def _steering(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _as_mapping(data.get("proxy_server_request")).get("credential_fields") or ()
    for name, value in data.items():
        if name in NESTED:
            yield from (f"{name}.{inner}" for inner in _steering_inside(_as_mapping(value)))
        elif name not in ADDED_TO_BODY and is_steering(name):
            yield name


def _steering_inside(container: Mapping[str, Any]) -> Iterator[str]:
    for name, value in container.items():
        if name in NESTED:
            yield from (f"{name}.{inner}" for inner in _steering_inside(_as_mapping(value)))
        elif is_steering(name) and not name.startswith(ADDED_TO_METADATA):
            yield name


def objection(data: Mapping[str, Any]) -> str | None:
    """Why a request is refused, in one sentence, or None. `data`: what LiteLLM hands to its callbacks."""
    for name in _steering(data):
        return f"{name} is not allowed in a request: which lanes answer is decided by the gateway's routes."
    model = data.get("model")
    if isinstance(model, str) and ("," in model or "/" in model):
        return f"model {model[:80]!r} is not allowed: name one route or lane of the gateway."
    return None


class Guard(CustomLogger):  # type: ignore[misc]  # LiteLLM is not installed where types are checked
    """Asked by LiteLLM before every request, on every endpoint."""

    async def async_pre_call_hook(
        self, user_api_key_dict: object, cache: object, data: dict[str, Any], call_type: str
    ) -> dict[str, Any]:
        """Lets the request go on as it is, or ends it with 403 and one sentence."""
        if call_type in PASS_THROUGH:
            raise HTTPException(403, "This gateway passes nothing through: name one of its routes or lanes.")
        if why := objection(data):
            raise HTTPException(403, why)
        return data


handler = Guard()
