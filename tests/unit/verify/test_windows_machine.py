"""A whole Windows machine verified over SSH, in two languages; broken, exactly the right check is red."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts.desk.recordings import FIRST, PROGRAMS, SCRATCHES, TOOLS
from tests.verify import desk
from tests.verify import windows_asking as asking
from tests.verify.machine import Machine as Asked
from tests.verify.neighbour import Neighbour
from tests.windows.standin.machine import Machine
from tests.windows.standin.registry import EXPAND_SZ, MACHINE_ENVIRONMENT, SZ

from .judging import Verdict, judged
from .windows_breaks import BROKEN, rounds
from .windowsbox import GATEWAY, HOME, LAN_ADDRESS, SECRET, UNINSTALL, Box

Break = Callable[[Box], object]


@pytest.fixture(params=["en", "de"])
def box(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """The machine as converge leaves it. Its gateway runs in a container unless the name of the test says native."""
    machine = Machine(tmp_path, seed=random.Random(request.node.name).randrange(1 << 30), language=request.param)
    made = Box(machine, tmp_path, native="native" in request.node.originalname)
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
    temporary = box.machine.drive.real(rf"C:\Users\{box.machine.user}\AppData\Local\Temp")
    assert not list(temporary.iterdir())


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


def test_a_machine_that_says_it_in_other_words_is_green(box: Box) -> None:
    """As its owner or a program's maker may have written it: converge leaves that as it is."""
    box.set(MACHINE_ENVIRONMENT, "Path", EXPAND_SZ, r'%SystemRoot%\system32;"%ProgramFiles%/Tools\"')
    box.data["path_entries"] = [{"directory": r"C:\Program Files\Tools", "scope": "machine"}]
    box.set(rf"{UNINSTALL}\Docker Desktop", "DisplayName", SZ, "Docker Desktop 4.58.1 (x64)")
    assert verdict(box).red == {}


def test_what_verify_asks_can_be_recorded_on_a_real_machine(box: Box) -> None:
    """`record` has an answer of every program that is asked here, by which the stand-in can be corrected."""
    asked = [*asking.first(box.expected, "x").values(), "chcp", "curl -K -"]
    programs = {line.split()[0] for line in asked} - {"type", "del"}
    recorded = {word for each in [*FIRST, *PROGRAMS, *TOOLS, *SCRATCHES] for word in each.command.split()}
    assert len(programs) > 12
    assert programs <= recorded


def test_a_native_gateway_is_green(box: Box) -> None:
    """Its packages are too many to be read one by one, and of known hashes: they are not searched for secrets."""
    box.machine.drive.write(rf"{GATEWAY}\venvs\0123\Lib\many.py", SECRET)
    found = verdict(box)
    assert found.red == {}
    assert "test_service_is_defined_so_and_not_edited[litellm]" in found.green
    assert "test_service_has_the_secrets_of_today[litellm]" in found.green
    assert not [each for each in found.green if "container" in each]


def test_a_broken_native_gateway_is_red(box: Box) -> None:
    secrets = rf"{HOME}\services\litellm\secrets"
    box.edit(secrets, "sk-of", "sk-no-longer-of")
    box.edit(rf"{HOME}\services\litellm\hold.json", "native.py", "other.py")
    box.grant(secrets, "/grant", "*S-1-5-32-545:(R)")
    assert set(verdict(box).red) == {
        "test_service_has_the_secrets_of_today[litellm]",
        "test_service_is_defined_so_and_not_edited[litellm]",
        rf"test_file_is_there_for_whom_it_may[{secrets}]",
    }
