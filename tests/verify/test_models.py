"""The models that a machine says it holds are the declared ones, at their pins, where they belong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .each import each, models, resident_models, where
from .expected import full_tag
from .machine import Machine
from .saying import fail, must, shown, unless


def told(machine: Machine, what: str) -> Mapping[str, Any]:
    """{tag: what Ollama tells} of all models that it holds (`tags`) or has in memory (`ps`)."""
    reply = machine.ollama[what]
    why = f"{machine.name}: Ollama's API does not answer: test_ollama_serves_the_declared_version says so"
    unless(machine.ollama["version"].status == 200, why)
    held = reply.rows("models")
    if reply.status != 200 or held is None:
        fail(f"{machine.name}: Ollama's API gives {reply}, wanted its models")
    return {each["name"]: each for each in held}


@each("model", models)
def test_model_is_held_at_its_digest(machine: Machine, model: dict[str, Any]) -> None:
    held = told(machine, "tags").get(full_tag(model["tag"]))
    found = held["digest"] if held else "absent"
    must(
        found.startswith(model["digest"]),
        f"{machine.name}: model {model['tag']} is {found[:12]}, wanted digest {model['digest'][:12]}",
    )


@where("models")
def test_no_undeclared_model_of_ours_is_left(machine: Machine, models: list[dict[str, Any]]) -> None:
    """A stranger's model may stay; one that converge made must leave with the data."""
    declared = {full_tag(each["tag"]) for each in models}
    made = {each["id"] for each in machine.manifest or [] if each["kind"] == "model"}
    left = sorted((made - declared) & set(told(machine, "tags")))
    must(not left, f"{machine.name}: models {shown(left)} are still held, wanted gone: the data no longer names them")


@each("model", resident_models)
def test_resident_model_is_in_memory(machine: Machine, model: dict[str, Any]) -> None:
    loaded = told(machine, "ps")
    must(
        full_tag(model["tag"]) in loaded,
        f"{machine.name}: in memory are {shown(list(loaded))}, wanted resident model {model['tag']}",
    )


@each("model", resident_models)
def test_resident_model_is_wholly_on_the_card(machine: Machine, model: dict[str, Any]) -> None:
    if not machine.cards:
        pytest.skip(f"{machine.name} has no NVIDIA GPU that answers: its models run on the processor")
    found = told(machine, "ps").get(full_tag(model["tag"])) or fail(f"{machine.name}: {model['tag']} is not in memory")
    must(
        found["size_vram"] == found["size"],
        f"{machine.name}: model {model['tag']} has {found['size_vram'] / 1e9:.1f} GB of its "
        f"{found['size'] / 1e9:.1f} GB on {machine.cards[0]}, wanted all",
    )
