"""A job on a Windows machine whose disk fills up tells so, and leaves nothing half-made; with room again it is done."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.unit.agent.archives import zipped
from tests.unit.agent.shop import Shop

from .standin.machine import Machine
from .test_standin_verbs import Desk, desk, shop

__all__ = ["desk", "shop"]

PLACE = r"C:\Program Files\Ollama"


@pytest.mark.parametrize(
    ("at", "what", "why"),
    [
        ("\\downloads\\", "download ", "the disk is full"),
        (r"\.1.0.new", "unpack ", "The disk is full: "),
        (r"\held", "do what was asked", "The disk is full: "),
        (".request.json", r"write C:\ProgramData", "The disk is full: "),
    ],
)
def test_is_said_and_the_next_one_finishes(  # noqa: PLR0917  three of them are one case
    at: str, what: str, why: str, desk: Desk, shop: Shop, machine: Machine
) -> None:
    archive = zipped({"ollama.exe": b"MZ" * 50_000})
    shop.goods["o.zip"] = archive
    request: dict[str, Any] = {"version": "1.0", "url": shop.url("o.zip"), "job": True, "wait_s": 20}
    request["sha256"] = hashlib.sha256(archive).hexdigest()
    machine.drive.fills_at = at
    error = desk.do("release", PLACE, **request)["error"]
    assert machine.drive.full
    assert error["what"].startswith(what)
    assert error["why"].startswith(why)
    assert error["fix"] == "free some disk space and converge again"
    assert not machine.drive.exists(PLACE) or not list(machine.drive.real(PLACE).iterdir())
    assert not list(machine.drive.real("C:").rglob("*.request.json"))
    machine.drive.full = False
    assert desk.made("release", PLACE, **request)["versions"]["1.0"]["intact"]
