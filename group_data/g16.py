"""G16: the laptop, desk and client. Its own small model answers when the road to Apex is cut."""

from deploys.schema import Brain, Gpu, Model, Secret

gpu = Gpu(vram_gb=8, reserved_gb=1)

models = [
    Model(
        "gemma4:e4b-it-qat",
        digest="ee665637121887cf3befff38abbb1be4ee117c7db867d97a67e29049ecd7e15f",
        size_gb=6.1,
        vram_gb=4.6,
        context=8192,
    ),
]

# Ten minutes in memory, for the battery's sake.
ollama_environment = {
    "OLLAMA_KEEP_ALIVE": "10m",
    "OLLAMA_CONTEXT_LENGTH": "8192",
    "OLLAMA_NUM_PARALLEL": "1",
    "OLLAMA_MAX_LOADED_MODELS": "1",
    "OLLAMA_NO_CLOUD": "1",
}

brain = Brain(
    user="owner",
    program="/usr/local/bin/brain",
    settings="/home/owner/.config/brain/settings",
    gateway_url="http://apex:4000",
    key=Secret("LITELLM_MASTER_KEY"),
    local_model="gemma4:e4b-it-qat",
    route="default",
)
