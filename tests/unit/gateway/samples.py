"""A gateway like the one in group_data, small enough to read, and its templates rendered as the role renders them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from deploys.lib.litellm import Wiring, wire
from deploys.schema import Gateway, Lane, Model, Route, Secret

REPO = Path(__file__).parents[3]
IMAGE = "ghcr.io/berriai/litellm:v1.104.0@sha256:" + "0" * 64
GATEWAY = Gateway(
    home="/opt/gateway",
    image=IMAGE,
    master_key=Secret("LITELLM_MASTER_KEY"),
    slack_webhook=Secret("SLACK_WEBHOOK_URL"),
)
MODELS = [
    Model("gemma3:27b-it-qat", "29eb0b9aeda3", size_gb=18, vram_gb=21, context=16384),
    Model("gemma4:e4b-it-qat", "ee6656371218", size_gb=6, vram_gb=8, context=32768),
]
LANES = [
    Lane("local", "ollama_chat/gemma3:27b-it-qat", "local", timeout_s=300, stream_timeout_s=90),
    Lane("local-tools", "ollama_chat/gemma4:e4b-it-qat", "local"),
    Lane("cerebras", "cerebras/gpt-oss-120b", "free", key=Secret("CEREBRAS_API_KEY"), requests_per_minute=5),
    Lane("gemini", "gemini/gemini-3.5-flash-lite", "free", key=Secret("GEMINI_API_KEY"), context=1_000_000),
    Lane("groq", "groq/openai/gpt-oss-120b", "free", key=Secret("GROQ_API_KEY")),
    Lane("anthropic", "anthropic/claude-sonnet-4-6", "premium", key=Secret("ANTHROPIC_API_KEY")),
]
ROUTES = [
    Route("default", ("local", "cerebras", "gemini")),
    Route("digest", ("local", "gemini"), parameters={"temperature": 0.2, "num_ctx": 8192}),
    Route("code", ("groq", "cerebras", "local")),
    Route("claude-local", ("local-tools",)),
    Route("private", ("local",), private=True),
    Route("premium", ("anthropic",)),
]
PRESENT = ("LITELLM_MASTER_KEY", "CEREBRAS_API_KEY", "GEMINI_API_KEY", "ANTHROPIC_API_KEY")
VALUES = {name: f"value-of-{name.lower()}-0123456789" for name in PRESENT}


def render(template: str, **variables: Any) -> str:
    """A gateway template, rendered strictly."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(REPO / "templates/gateway"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template(template).render(**variables)


def sample_wiring() -> Wiring:
    """The wiring of the sample: everything but Groq has its key."""
    return wire(GATEWAY, LANES, ROUTES, MODELS, present=PRESENT)


def sample_config() -> str:
    """The sample's config.yaml."""
    return render("config.yaml.j2", gateway=GATEWAY, wiring=sample_wiring())
