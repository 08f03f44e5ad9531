"""deploys/lib/litellm_check.py: what must not reach the gateway, however it came into the text."""

from __future__ import annotations

import pytest

from deploys.lib.litellm_check import check_config, check_environment
from deploys.schema import Nonsense
from tests.unit.gateway.samples import GATEWAY, LANES, PRESENT, ROUTES, sample_config

CONFIG = sample_config()
PRIVATE = """  - model_name: private
    litellm_params:
      model: "ollama_chat/gemma3:27b-it-qat"
      api_base: "http://127.0.0.1:11434"
"""
ROUTER = "router_settings:\n"
LITELLM = "litellm_settings:\n"


def check(text: str) -> None:
    check_config(text, GATEWAY, LANES, ROUTES, present=PRESENT)


def test_what_the_template_renders_is_right() -> None:
    check(CONFIG)


def test_an_alias_to_a_route_is_right() -> None:
    check(CONFIG.replace(ROUTER, ROUTER + "  model_group_alias: {gpt-4o: default, x: {model: local, hidden: true}}\n"))


DEFECTS = {
    "unknown provider": ("cerebras/gpt-oss-120b", "cerebros/gpt-oss-120b", "names no provider"),
    "no provider": ('model: "cerebras/gpt-oss-120b"', "model: gpt-oss-120b", "names no provider"),
    "another model": ("gemini-3.5-flash-lite", "gemini-9", "must be 'gemini/gemini-3.5"),
    "private lane moved to a cloud": (
        PRIVATE,
        PRIVATE.replace("ollama_chat/gemma3:27b-it-qat", "groq/openai/gpt-oss-120b"),
        "private.litellm_params.model",
    ),
    "private lane sent to another host": (
        PRIVATE,
        PRIVATE.replace("127.0.0.1:11434", "example.com"),
        "private.litellm_params.api_base",
    ),
    "own address for a provider's lane": (
        'model: "anthropic/claude-sonnet-4-6"',
        'model: "anthropic/claude-sonnet-4-6"\n      api_base: "http://example.com"',
        "must not be set",
    ),
    "private falls back to a cloud": (
        "    - default: [cerebras",
        "    - private: [gemini]\n    - default: [cerebras",
        "private leads to 'gemini', which the data does not allow",
    ),
    "premium in a cascade": (
        "    - default: [cerebras, gemini]",
        "    - default: [cerebras, anthropic]",
        "default leads to 'anthropic', which the data does not allow",
    ),
    "premium with fallbacks": (
        "    - default: [cerebras",
        "    - premium: [cerebras]\n    - default: [cerebras",
        "premium leads to 'cerebras'",
    ),
    "a route as a fallback": ("    - default: [cerebras", "    - default: [premium", "leads to 'premium'"),
    "a lane with fallbacks": (
        "    - default: [cerebras",
        "    - local: [cerebras]\n    - default: [cerebras",
        "local leads to 'cerebras'",
    ),
    "fallback to nowhere": ("    - default: [cerebras", "    - default: [cerebos", "'cerebos', which does not exist"),
    "fallback from nowhere": ("    - default: [cerebras", "    - defualt: [cerebras", "'defualt', which does not"),
    "fallback for everything": ("    - default: [cerebras", '    - "*": [cerebras', "'*', which does not exist"),
    "fallback as a string": ("    - default: [cerebras, gemini]", "    - default: cerebras", "list of lanes"),
    "fallback as an object": ("    - default: [cerebras, gemini]", "    - default: [{model: x}]", "list of lanes"),
    "fallbacks as a mapping": ("    - default: [cerebras, gemini]", "      default: [cerebras, gemini]", "not YAML"),
    "two cascades in one entry": (
        "    - default: [cerebras, gemini]",
        "    - {default: [gemini], x: [y]}",
        "one entry",
    ),
    "a cascade twice": (
        "    - default: [cerebras, gemini]\n    - digest",
        "    - default: [cerebras, gemini]\n    - default: [gemini]\n    - digest",
        "'default' a second time",
    ),
    "content policy fallback": (
        ROUTER,
        ROUTER + "  content_policy_fallbacks: [{private: [gemini]}]\n",
        "private leads",
    ),
    "default fallbacks": (ROUTER, ROUTER + "  default_fallbacks: [gemini]\n", "default_fallbacks would send"),
    "default fallbacks elsewhere": (LITELLM, LITELLM + "  default_fallbacks: [gemini]\n", "default_fallbacks would"),
    "fallbacks elsewhere": (LITELLM, LITELLM + "  fallbacks: [{private: [gemini]}]\n", "belongs into router_settings"),
    "an order of its own": ("      timeout: 300", "      order: 1\n      timeout: 300", "order would send"),
    "retries": (ROUTER + "  num_retries: 0", ROUTER + "  num_retries: 2", "router_settings.num_retries = 2 must be 0"),
    "retries by default": (ROUTER + "  num_retries: 0", ROUTER, "router_settings.num_retries = None must be 0"),
    "false for no retries": (LITELLM + "  num_retries: 0", LITELLM + "  num_retries: false", "must be 0"),
    "too few hops": ("max_fallbacks: 2", "max_fallbacks: 1", "cuts off a cascade of 2"),
    "no check before the call": ("  enable_pre_call_checks: true\n", "", "enable_pre_call_checks"),
    "mistyped check": ("enforce_model_rate_limits", "enforce_model_rate_limit", "optional_pre_call_checks"),
    "alias to nowhere": (ROUTER, ROUTER + "  model_group_alias: {a: b}\n", "leads to 'b', which does not exist"),
    "alias over a route": (ROUTER, ROUTER + "  model_group_alias: {private: gemini}\n", "hides the lane or route"),
    "no guard": ("[guard.handler]", "[other.handler]", "must be a list that holds guard.handler"),
    "messages in the log": ("turn_off_message_logging: true", "turn_off_message_logging: false", "must be True"),
    "unknown router setting": (ROUTER, ROUTER + "  num_retires: 0\n", "router_settings.num_retires is not known"),
    "unknown litellm setting": (LITELLM, LITELLM + "  set_verbos: true\n", "litellm_settings.set_verbos is not"),
    "unknown general setting": ("general_settings:\n", "general_settings:\n  database_url: x\n", "database_url is not"),
    "unknown parameter": ("      timeout: 300", "      timout: 9\n      timeout: 300", "timout is not known"),
    "unknown section": (LITELLM, "environment_variables: {A: b}\n" + LITELLM, "environment_variables is not known"),
    "unset key": ("os.environ/GEMINI_API_KEY", "os.environ/GROQ_API_KEY", "GROQ_API_KEY is no secret that has a value"),
    "secret in plain": ("os.environ/GEMINI_API_KEY", "AIza-very-secret", "gemini.litellm_params.api_key"),
    "another lane's key": ("os.environ/GEMINI_API_KEY", "os.environ/ANTHROPIC_API_KEY", "gemini.litellm_params"),
    "other master key": ("master_key: os.environ/LITELLM_MASTER_KEY", "master_key: sk-1234", "general_settings.master"),
    "a mask": ("http://127.0.0.1:11434", "*MASKED*", "line 17 holds the text"),
    "no timeout": ("      timeout: 300\n", "", "timeout = None must be a number of seconds"),
    "timeout as text": ("timeout: 300", "timeout: five", "must be a number of seconds"),
    "rpm as text": ("rpm: 5", "rpm: lots", "rpm = 'lots'"),
    "an id of its own": ("      id: default", "      id: local", "default.model_info.id"),
    "tolerated failures": (
        "  TimeoutErrorAllowedFails: 0",
        "  TimeoutErrorAllowedFails: 3",
        "TimeoutErrorAllowedFails",
    ),
    "local at a price": (
        "  input_cost_per_token: 0",
        "  input_cost_per_token: 1",
        "input_cost_per_token = 1 must be 0",
    ),
    "a merge that moves a private route": (
        PRIVATE,
        PRIVATE.replace('      api_base: "http://127.0.0.1:11434"\n', "      <<: {api_base: http://example.com}\n"),
        "private.litellm_params.api_base",
    ),
    "no window": ("      max_input_tokens: 14336\n", "", "max_input_tokens is missing"),
    "a lane dropped": ("model_name: cerebras", "model_name: local", "'local' a second deployment"),
    "a lane of nobody": ("model_name: cerebras", "model_name: cerebra", "neither a lane nor a route"),
    "a key twice": ("      timeout: 300\n", "      timeout: 300\n      timeout: 3\n", "'timeout' a second time"),
    "not YAML": (ROUTER, "router_settings: [\n", "not YAML"),
    "unhashable key": (ROUTER, "{[a]: b}: c\n" + ROUTER, "config.yaml"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_are_refused_in_one_sentence(name: str) -> None:
    before, after, sentence = DEFECTS[name]
    assert before in CONFIG
    with pytest.raises(Nonsense) as caught:
        check(CONFIG.replace(before, after, 1))
    said = str(caught.value)
    assert sentence in said
    assert said.startswith("config.yaml: ")
    assert "\n" not in said


@pytest.mark.parametrize("text", ["", "[]", "a", "\t", "model_list: []", "1: 2"])
def test_what_is_no_config_is_refused(text: str) -> None:
    with pytest.raises(Nonsense, match=r"config\.yaml"):
        check(text)


def test_a_lane_that_is_missing_is_named() -> None:
    start = CONFIG.index("  # lane, free\n  - model_name: gemini")
    end = CONFIG.index("  # lane, premium")
    with pytest.raises(Nonsense, match="'gemini' is in the data and not in model_list"):
        check(CONFIG[:start] + CONFIG[end:])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A=1\nA=2\n", "line 2 sets A a second time"),
        ("A\n", "line 1 is not NAME=value"),
        ("A-B=1\n", "line 1 is not NAME=value"),
        ("# ours\nA=*MASKED*\n", r"line 2 \(A\) holds the text"),
    ],
)
def test_an_environment_file_is_checked_too(text: str, why: str) -> None:
    with pytest.raises(Nonsense, match=why):
        check_environment(text)
