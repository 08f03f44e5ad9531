"""The lab's Windows machine: production's data with the digests of what the lab made; its person has another name."""

from dataclasses import replace

from deploys.schema import PathEntry, Release
from group_data.windows import agent as _agent
from group_data.windows import docker as _docker
from group_data.windows import gateway_native as _native
from group_data.windows import ollama as _ollama
from tests.lab.inventory import lab as _lab

_served = _lab["windows"]

agent = replace(_agent, runtime=Release(**_served["runtime"])) if _served else _agent

ollama = replace(_ollama, release=Release(**_served["ollama"])) if _served else _ollama

path_entries = [PathEntry(rf"{ollama.home}\{ollama.release.version}")]

docker = (
    replace(
        _docker,
        user=_served["user"],
        installers=[replace(each, sha256=_served["installers"][each.name]) for each in _docker.installers],
    )
    if _served
    else _docker
)

gateway_native = (
    replace(
        _native,
        uv=replace(_native.uv, release=Release(**_served["native"]["uv"])),
        python=replace(_native.python, release=Release(**_served["native"]["python"])),
    )
    if _served
    else _native
)

__all__ = ["agent", "docker", "gateway_native", "ollama", "path_entries"]
