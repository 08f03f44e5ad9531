"""Ollama: the engine, pinned, on loopback only. It has no authentication; the gateway is its door."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.lib.paths import joined
from deploys.operations import download, service
from deploys.schema import Ollama


@deploy("Ollama")
def serve() -> None:
    """The archive in a directory of its version, and a service that takes its whole process tree with it."""
    ollama: Ollama = host.data.ollama
    download.release(name=f"Unpack {ollama.release.version}", release=ollama.release, into=ollama.home)
    service.running(
        name="Run it, on loopback only",
        service=ollama.service,
        description="Ollama, the engine of the private AI system",
        command=[joined(download.place(ollama.home, ollama.release), ollama.program), "serve"],
        environment={
            **host.data.get("ollama_environment", {}),
            "OLLAMA_HOST": f"127.0.0.1:{ollama.port}",
            "OLLAMA_MODELS": ollama.models,
            "HOME": ollama.state,
        },
        state=ollama.state,
        restarts_with=[ollama.home],
        answers=f"http://127.0.0.1:{ollama.port}/api/version",
    )
