"""Where things lie on a Windows machine, and how to talk to it."""

from deploys.schema import Agent, GatewayPlace, Ollama, Release

# The command goes as it stands: Windows has no `sh`.
_shell_executable = None

agent = Agent(
    python=r"C:\ProgramData\llm-harness\python-3.12.10\python.exe -I -X utf8",
    home=r"C:\ProgramData\llm-harness",
)

ollama = Ollama(
    release=Release(
        version="0.40.2",
        url="https://github.com/ollama/ollama/releases/download/v0.40.2/ollama-windows-amd64.zip",
        sha256="e29ad1d5063dd4b54b2492d9b00adab2cff9621bfa654b6c92aa8d6f1fdfe7fc",
    ),
    home=r"C:\Program Files\Ollama",
    state=r"C:\ProgramData\Ollama",
    models=r"C:\ProgramData\Ollama\models",
    program="ollama.exe",
)

# Docker Desktop lets a container reach the machine's loopback by this name.
gateway_place = GatewayPlace(home=r"C:\litellm", network="bridge", ollama_url="http://host.docker.internal:11434")
