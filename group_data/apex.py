"""Apex: the desktop with the RTX 3090. Its models, and the one door to them and to the cloud lanes."""

from deploys.schema import Gateway, Gpu, Lane, Model, Route, Secret

gpu = Gpu(vram_gb=24, reserved_gb=1)

# The digest is of the manifest, as `ollama list` and the registry tell. A tag may move; the digest is what counts.
models = [
    Model(
        "gemma3:27b-it-qat",
        digest="29eb0b9aeda35295ed728124d341b27e0c6771ea5c586fcabfb157884224fa93",
        size_gb=18,
        vram_gb=21,
        context=16384,
        resident=True,
    ),
    Model(
        "gemma4:12b-it-qat",
        digest="38044be4f923e5a55264ed7df4eaac2676651a905f735197c504045140c02bd3",
        size_gb=7.2,
        vram_gb=12,
        context=32768,
    ),
]

# One model at a time on the card, kept until another is asked for, no cloud behind our back.
ollama_environment = {
    "OLLAMA_KEEP_ALIVE": "-1",
    "OLLAMA_CONTEXT_LENGTH": "16384",
    "OLLAMA_NUM_PARALLEL": "1",
    "OLLAMA_MAX_LOADED_MODELS": "1",
    "OLLAMA_MAX_QUEUE": "64",
    "OLLAMA_LOAD_TIMEOUT": "10m",
    "OLLAMA_NO_CLOUD": "1",
}

gateway = Gateway(
    image="ghcr.io/berriai/litellm:v1.104.0@sha256:625981c83410a3ea68eb0697590a57ec1d764d634514d54fa5db0591077ee839",
    master_key=Secret("LITELLM_MASTER_KEY"),
    port=4000,
    slack_webhook=Secret("SLACK_WEBHOOK_URL"),
)

# Local lanes wait long: a cold model is read from disk first. A cloud lane whose key is absent is left out.
lanes = [
    Lane("local", "ollama_chat/gemma3:27b-it-qat", tier="local", timeout_s=300, stream_timeout_s=90),
    Lane("local-tools", "ollama_chat/gemma4:12b-it-qat", tier="local", timeout_s=300, stream_timeout_s=90),
    Lane(
        "cerebras",
        "cerebras/gpt-oss-120b",
        tier="free",
        api_base="https://api.cerebras.ai/v1",
        key=Secret("CEREBRAS_API_KEY"),
        requests_per_minute=5,
        context=65536,
    ),
    Lane(
        "gemini",
        "gemini/gemini-3.5-flash-lite",
        tier="free",
        api_base="https://generativelanguage.googleapis.com/v1beta",
        key=Secret("GEMINI_API_KEY"),
        requests_per_minute=15,
        context=1_000_000,
    ),
    Lane(
        "cloudflare",
        "cloudflare/@cf/google/gemma-4-26b-a4b-it",
        tier="free",
        # <account> is yours: the number in the address of your Cloudflare dashboard
        api_base="https://api.cloudflare.com/client/v4/accounts/<account>/ai/v1",
        key=Secret("CLOUDFLARE_API_KEY"),
        context=131072,
    ),
    Lane(
        "groq",
        "groq/openai/gpt-oss-120b",
        tier="free",
        api_base="https://api.groq.com/openai/v1",
        key=Secret("GROQ_API_KEY"),
        requests_per_minute=30,
        context=131072,
    ),
    Lane(
        "anthropic",
        "anthropic/claude-sonnet-4-6",
        tier="premium",
        api_base="https://api.anthropic.com",
        key=Secret("ANTHROPIC_API_KEY"),
        timeout_s=600,
        stream_timeout_s=60,
    ),
]

CLOUD = ["cerebras", "gemini", "cloudflare"]

routes = [
    Route("default", ["local", *CLOUD]),
    Route("dump", ["local", *CLOUD]),
    Route("digest", ["local", *CLOUD]),
    Route("rewrite", ["local", *CLOUD]),
    Route("code", ["local", "groq", *CLOUD]),
    Route("claude-local", ["local-tools", *CLOUD]),
    Route("private", ["local"], private=True),
    Route("premium", ["anthropic"]),
]
