"""A whole Windows machine verified over SSH, in two languages; broken, exactly the right check is red."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.verify import desk
from tests.verify.machine import Machine as Asked
from tests.verify.neighbour import Neighbour
from tests.windows.standin.machine import Machine

from .judging import Verdict, judged
from .windows_breaks import BROKEN, rounds
from .windowsbox import LAN_ADDRESS, SECRET, Box

Break = Callable[[Box], object]


@pytest.fixture(params=["en", "de"])
def box(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """The machine as converge leaves it."""
    machine = Machine(tmp_path, seed=random.Random(request.node.name).randrange(1 << 30), language=request.param)
    made = Box(machine, tmp_path)
    monkeypatch.setattr(desk, "inventory", lambda: (made.expected,))
    monkeypatch.setattr(desk, "secret", lambda name: desk.Hidden(SECRET) if name == "PLANTED" else None)
    monkeypatch.setattr(desk, "secret_names", lambda: ["PLANTED"])
    yield made
    made.close()
    machine.close()


def neighbour(asked: Asked, *heard: int) -> Neighbour:
    """Somebody on its LAN who hears sshd, and these ports."""
    return Neighbour("the neighbour", True, {("apex", LAN_ADDRESS, port): True for port in (22, *heard)})


def verdict(box: Box) -> Verdict:
    asked = box.look()
    return judged(asked, neighbour(asked))


def test_a_converged_machine_is_green(box: Box) -> None:
    found = verdict(box)
    assert found.red == {}
    assert set(found.not_asked) == {"test_service_has_its_variables[ollama]"}  # nobody tells them on Windows
    assert len(found.green) > 60
    scratch = rf"C:\Users\{box.machine.user}\AppData\Local\Temp\verify-access.txt"
    assert not box.machine.drive.exists(scratch)


@pytest.mark.parametrize("names", rounds(), ids=lambda names: names[0])
def test_what_is_broken_is_red_and_nothing_else(box: Box, names: list[str]) -> None:
    """Several at once, of which each has checks of its own."""
    wanted: set[str] = set()
    ports = {"engine": str(box.site.server_port), "door": str(box.door.server_port)}
    for name in names:
        how, red = BROKEN[name]
        how(box)
        wanted |= {each.format(**ports) if "_else[" in each else each for each in red}
    found = verdict(box)
    assert set(found.red) == wanted
    assert all(sentence.startswith("apex: ") for sentence in found.red.values())
