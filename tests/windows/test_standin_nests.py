"""A new secret file on Windows: nobody else can open it at any moment, and what others plant there is not touched."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from .benches import StandInBench
from .standin import handles
from .standin.machine import Machine
from .standin.security import parse
from .test_standin_planted import BERT, bert

FOLDER, SECRET = r"C:\litellm", r"C:\litellm\.env"
PREFIX = f".new-{hashlib.sha256(SECRET.encode()).hexdigest()[:8]}-"
OURS = "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"


@pytest.fixture
def system(bench: StandInBench) -> Any:
    return bench.load("windows.system").Windows()


@pytest.fixture
def files(bench: StandInBench, system: Any, machine: Machine) -> Any:
    """In a folder that every user may read."""
    machine.drive.make(FOLDER)
    return bench.load("kinds.files").Files(system, bench.load("home").Home(system, bench.home))


def ensure(files: Any, content: bytes = b"KEY=value\n", **more: Any) -> Any:
    encoded, sha256 = base64.b64encode(content).decode(), hashlib.sha256(content).hexdigest()
    request = {"id": SECRET, "content": encoded, "sha256": sha256, "access": "administrators", **more}
    return files.ensure(request, lambda _: None)["file"][SECRET]


def names(machine: Machine) -> list[str]:
    return sorted(each.name for each in machine.drive.real(FOLDER).iterdir())


def watched(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[str]]:
    """(steps, what Bert could open): he tries every file there after each step, and keeps what he gets."""
    steps: list[str] = []
    opened: list[str] = []

    def tries() -> None:
        with bert(machine) as world:
            for real in sorted(machine.drive.real(FOLDER).rglob("*")):
                path = machine.drive.path_of(real)
                try:
                    world.open(path, "rb").close()
                    opened.append(path)
                except OSError:
                    continue

    def followed(name: str) -> None:
        change = getattr(machine.drive, name)

        def step(path: str, *more: Any, **options: Any) -> None:
            change(path, *more, **options)
            if path.startswith(FOLDER):
                steps.append(name)
                tries()

        monkeypatch.setattr(machine.drive, name, step)

    for each in ("born", "set_descriptor", "move", "delete"):
        followed(each)
    return steps, opened


def test_nobody_else_can_open_it_at_any_moment(files: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    steps, opened = watched(machine, monkeypatch)
    ensure(files)
    ensure(files, b"KEY=another\n")
    assert {"born", "set_descriptor", "move", "delete"} <= set(steps)
    assert opened == []
    assert names(machine) == [".env"]


def test_a_watcher_would_see_it(machine: Machine, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Born in the folder itself, as it was once."""
    _, opened = watched(machine, monkeypatch)
    machine.drive.write(SECRET)
    machine.drive.set_descriptor(SECRET, OURS, machine.user_sids, restore=True)
    assert opened == [SECRET]


@pytest.mark.parametrize("access", ["administrators", "everyone", "only Anna", "administrators +x"])
def test_it_has_its_own_access_and_nothing_of_its_nest_s(
    files: Any, machine: Machine, system: Any, access: str
) -> None:
    assert ensure(files, access=access)["access"] == access
    found = machine.drive.descriptor(SECRET)
    assert found.protected
    assert not [ace for ace in found.aces if "ID" in ace.flags]


def test_what_inherited_before_us_inherits_again(files: Any, machine: Machine) -> None:
    """From its folder, not from where it was put together."""
    machine.drive.write(SECRET, b"theirs")
    before = machine.drive.descriptor(SECRET)
    assert not before.protected
    ensure(files)
    files.remove({"id": SECRET}, lambda _: None)
    assert machine.drive.read(SECRET) == b"theirs"
    assert machine.drive.descriptor(SECRET) == before
    assert names(machine) == [".env"]


@pytest.mark.parametrize("list_", [OURS, "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)"])
def test_the_nest_of_a_killed_agent_goes(files: Any, machine: Machine, list_: str) -> None:
    nest = rf"{FOLDER}\{PREFIX}0123"
    machine.drive.make(nest, list_)
    machine.drive.write(rf"{nest}\.new-4567", b"KEY=lost\n")
    machine.drive.write(rf"{FOLDER}\{PREFIX}as-it-was-once", b"KEY=lost\n")
    ensure(files)
    assert names(machine) == [".env"]


@pytest.mark.parametrize(
    "list_",
    [
        f"O:{BERT}D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;OW)",
        f"O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{BERT})",
        "O:BAD:(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)",
    ],
)
def test_a_nest_that_somebody_else_planted_stays(files: Any, machine: Machine, list_: str) -> None:
    machine.drive.make(rf"{FOLDER}\{PREFIX}planted")
    machine.drive.write(rf"{FOLDER}\{PREFIX}planted\file", b"bait")
    machine.drive.descriptors[machine.drive.key(rf"{FOLDER}\{PREFIX}planted")] = parse(list_)
    ensure(files)
    assert machine.drive.read(rf"{FOLDER}\{PREFIX}planted\file") == b"bait"
    assert names(machine) == [".env", f"{PREFIX}planted"]


@pytest.mark.parametrize("owner", [BERT, "S-1-5-32-544"])
def test_a_planted_link_is_not_gone_through(files: Any, machine: Machine, owner: str) -> None:
    machine.drive.make(r"C:\precious", OURS)
    machine.drive.write(r"C:\precious\file", b"precious")
    link = rf"{FOLDER}\{PREFIX}link"
    handles.junction(machine.drive, link, r"C:\precious", owner)
    machine.drive.descriptors[machine.drive.key(link)] = parse(OURS.replace("O:BA", f"O:{owner}"))
    ensure(files)
    assert machine.drive.read(r"C:\precious\file") == b"precious"


def test_what_cannot_be_closed_leaves_nothing(
    bench: StandInBench, files: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = bench.load("errors").Refused
    ntfs = bench.load("windows.ntfs")
    real, left = ntfs.secure, [0]

    def secure(path: str, wanted: Any) -> None:
        if left[0] == 0:
            raise refusal("set the access", "Windows keeps another", "look")
        left[0] -= 1
        real(path, wanted)

    monkeypatch.setattr(ntfs, "secure", secure)
    for each in (0, 1):
        left[0] = each
        with pytest.raises(refusal, match="Windows keeps another"):
            ensure(files)
        assert names(machine) == []
