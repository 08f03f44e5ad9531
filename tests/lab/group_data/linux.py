"""The lab's Ollama and uv come from the production address, but the lab built them: other versions, other bytes."""

from dataclasses import replace

from deploys.schema import Release
from group_data.linux import gateway_native as _native
from group_data.linux import ollama as _production
from tests.lab.inventory import lab as _lab

ollama = replace(_production, release=Release(**_lab["ollama"]))

gateway_native = replace(_native, uv=replace(_native.uv, release=Release(**_lab["uv"])))

__all__ = ["gateway_native", "ollama"]
