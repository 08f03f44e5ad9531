"""The models a machine holds: pinned by digest, sized against its card before anything is pulled."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.facts import report
from deploys.facts.look import itself
from deploys.operations import model
from deploys.operations.resource import Stop
from deploys.schema import Gpu, Model, Ollama


@deploy("Models")
def hold() -> None:
    """Pull what is missing; what is no longer declared leaves with `retired`."""
    ollama: Ollama = host.data.ollama
    declared: tuple[Model, ...] = host.data.models
    _check_card(host.data.get("gpu"), declared)
    for each in declared:
        model.held(
            name=f"Hold {each.tag}",
            model=each,
            engine=ollama.service,
            api=f"http://127.0.0.1:{ollama.port}",
            store=ollama.models,
        )


def _check_card(wanted: Gpu | None, declared: tuple[Model, ...]) -> None:
    """The card that is really there against what the models take. No card is said, and no reason to stop."""
    cards = itself(host)["gpus"]
    if not cards:
        report.note(host, "it has no NVIDIA GPU (or no driver): models run on the processor, VRAM is not checked")
        return
    real_gb = sum(card["vram_gb"] for card in cards)
    reserved_gb = wanted.reserved_gb if wanted else 0
    resident_gb = sum(each.vram_gb for each in declared if each.resident)
    largest_gb = max((each.vram_gb for each in declared), default=0)
    need_gb = max(resident_gb, largest_gb)
    if need_gb > real_gb - reserved_gb:
        raise Stop(
            f"its models take {need_gb:g} GB of VRAM and {cards[0]['name']} has {real_gb:g} GB "
            f"({reserved_gb:g} reserved): choose smaller models in group_data"
        )
