"""The lab's Ollama comes from the production address, but the lab built it: another version, other bytes."""

from dataclasses import replace

from deploys.schema import Release
from group_data.linux import ollama as _production
from tests.lab.inventory import lab as _lab

ollama = replace(_production, release=Release(**_lab["ollama"]))

__all__ = ["ollama"]
