"""scripts/gateway/guard.py, without LiteLLM: only its base class and FastAPI's exception are lent to it here.

That LiteLLM really asks it, on every endpoint, is the lab's to prove.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.gateway.samples import REPO


class Refusal(Exception):
    """Stands where FastAPI's HTTPException does."""

    def __init__(self, status_code: int, detail: str) -> None:
        super().__init__(detail)
        self.status_code = status_code


@pytest.fixture(scope="module")
def guard() -> Iterator[Any]:
    lent = {
        "fastapi": types.SimpleNamespace(HTTPException=Refusal),
        "litellm.integrations.custom_logger": types.SimpleNamespace(CustomLogger=object),
    }
    before = {name: sys.modules.get(name) for name in lent}
    sys.modules.update(lent)  # type: ignore[arg-type]
    try:
        spec = importlib.util.spec_from_file_location("guard", REPO / "scripts/gateway/guard.py")
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        for name, module_before in before.items():
            if module_before is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module_before


def ask(guard: Any, data: dict[str, Any], call_type: str = "acompletion") -> Any:
    return asyncio.run(
        guard.handler.async_pre_call_hook(user_api_key_dict=None, cache=None, data=data, call_type=call_type)
    )


# What LiteLLM itself has put into a request by the time it asks (seen in 1.104.0 and 1.108.11).
ADDED = {
    "proxy_server_request": {"url": "http://x", "headers": {"authorization": "x"}, "body": {}, "credential_fields": ()},
    "secret_fields": {"raw_headers": {}},
    "provider_specific_header": {"custom_llm_provider": "anthropic", "extra_headers": {}},
    "litellm_call_id": "1",
    "litellm_logging_obj": object(),
}
OWN_METADATA = {
    "headers": {},
    "user_api_key": "x",
    "user_api_key_auth": object(),
    "endpoint": "http://x",
    "llm_api_timing_windows": [],
}


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [], "temperature": 0.3, "stream": True, "disable_fallbacks": True, "num_retries": 0},
        {"messages": [], "metadata": {"tags": ["task:x"], **OWN_METADATA}, "litellm_metadata": dict(OWN_METADATA)},
        {"messages": [], "system": [], "thinking": {"type": "enabled"}, "tools": [{"input_schema": {"api_key": {}}}]},
        {"input": "hi", "prompt_cache_key": "x", "safety_identifier": "y", "service_tier": "auto", "metadata": None},
        {"messages": [], "metadata": "not json", "extra_body": "{broken"},
    ],
)
def test_ordinary_requests_go_on_as_they_are(guard: Any, body: dict[str, Any]) -> None:
    data = {"model": "private", **body, **ADDED}
    assert ask(guard, data) is data


STEERING = [
    *("fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "Fallbacks", "default_fallbacks"),
    *("api_base", "base_url", "api_key", "user_config", "model_list", "router_settings_override", "litellm_params"),
    *("specific_deployment", "custom_llm_provider", "litellm_credential_name", "extra_headers", "organization"),
    *("vertex_credentials", "aws_profile_name", "mock_testing_fallbacks", "s3_endpoint_url", "api-base"),
]


@pytest.mark.parametrize("name", STEERING)
@pytest.mark.parametrize("inside", [None, "metadata", "litellm_metadata", "extra_body", "text", "twice"])
def test_a_request_that_steers_is_refused(guard: Any, name: str, inside: str | None) -> None:
    steering: dict[str, Any] = {name: ["premium"]}
    bodies: dict[str | None, dict[str, Any]] = {
        None: steering,
        "text": {"metadata": json.dumps(steering)},
        "twice": {"extra_body": {"metadata": steering}},
    }
    body = bodies.get(inside, {inside or "": steering})
    with pytest.raises(Refusal, match=name) as caught:
        ask(guard, {"model": "private", "messages": [], **body, **ADDED})
    assert caught.value.status_code == 403


def test_fields_that_litellm_took_out_of_the_body_are_refused_too(guard: Any) -> None:
    seen = {**ADDED["proxy_server_request"], "credential_fields": ("api_key",)}  # type: ignore[dict-item]
    with pytest.raises(Refusal, match="api_key"):
        ask(guard, {"model": "private", "messages": [], **ADDED, "proxy_server_request": seen})


@pytest.mark.parametrize("model", ["private,premium", "anthropic/claude-sonnet-4-6", "groq/openai/gpt-oss-120b"])
def test_only_one_route_or_lane_can_be_named(guard: Any, model: str) -> None:
    with pytest.raises(Refusal, match="name one route or lane"):
        ask(guard, {"model": model, "messages": []})


def test_nothing_is_passed_through_to_a_provider(guard: Any) -> None:
    with pytest.raises(Refusal, match="passes nothing through"):
        ask(guard, {"model": "claude", "messages": []}, "pass_through_endpoint")
