"""Verification: the data says what must be, the machines say what is. Shares no code with what converges them.

A test that takes `machine` runs once for every chosen machine; `@each` narrows that to machines whose data has the
thing, and to each of the things. Machines are looked at all at once, before the first test.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from . import desk
from .each import questions, things_of
from .linux import Linux
from .machine import Machine, Road, Unreachable
from .neighbour import Neighbour
from .windows import Windows

SYSTEMS: Mapping[str, type[Machine]] = {"linux": Linux, "windows": Windows}  # by the inventory's group


@dataclass
class Seen:
    """What came of looking at the machines: each is in exactly one of the three."""

    machines: dict[str, Machine] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "each(name, things): once for each of the things in a machine's data")
    try:
        desk.chosen()
        desk.secret_names()  # asked for here, so that what stands in the way is a sentence
    except desk.CannotStart as problem:
        raise pytest.UsageError(str(problem)) from None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was not asked is always said: one line for each reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(each.longrepr[2].removeprefix("Skipped: ") for each in skipped)
    for reason, count in reasons.items():
        terminalreporter.write_line(f"not asked ({count}): {reason}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "machine_name" in metafunc.fixturenames:
        metafunc.parametrize("machine_name", [each.name for each in desk.chosen()])
    if "machine" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("each")
    name, things = marker.args if marker else ("", None)
    names = ["machine", name] if name else ["machine"]
    rows = [
        pytest.param(*(machine.name, thing)[: len(names)], id=f"{machine.name}-{label}" if label else machine.name)
        for machine in desk.chosen()
        for label, thing in (things_of(things, machine) if things else [("", None)])
    ]
    if not rows:
        nobody = pytest.mark.skip("the data of the chosen machines has nothing of the kind")
        rows = [pytest.param(*[None] * len(names), id="nobody", marks=nobody)]
    metafunc.parametrize(names, rows, indirect=["machine"])


@pytest.fixture(scope="session")
def seen() -> Iterator[Seen]:
    """Every chosen machine, looked at once, side by side."""
    folder = Path(tempfile.mkdtemp(prefix="verify-"))
    try:
        config = folder / "ssh_config"
        config.write_text(desk.ssh_config(desk.chosen(), os.environ.get("DESK_SSH_CONFIG")), encoding="utf-8")
        road = Road(config, folder)
        yield _look_at_all(road)
        for each in desk.chosen():
            road.leave(each)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _look_at_all(road: Road) -> Seen:
    seen = Seen()
    for each in desk.chosen():
        system = next((SYSTEMS[group] for group in SYSTEMS if group in each.groups), None)
        if system:
            seen.machines[each.name] = system(each, road)
        else:
            known = ", ".join(SYSTEMS)
            seen.unknown[each.name] = f"{each.name} is not verified: its system is none of those known here ({known})"

    def look(machine: Machine) -> None:
        try:
            machine.look([question for _, question in questions(machine.expected)])
        except Unreachable as problem:
            seen.unreachable[machine.name] = str(problem)
        except Exception as problem:  # whatever it says that nobody here understands: one red, not one in each test
            place = traceback.extract_tb(problem.__traceback__)[-1]
            what = f"{type(problem).__name__}: {problem}, at {Path(place.filename).name} line {place.lineno}"
            seen.unreachable[machine.name] = f"{machine.name}: what it says of itself cannot be understood ({what})"

    if seen.machines:
        with ThreadPoolExecutor(len(seen.machines)) as pool:
            list(pool.map(look, list(seen.machines.values())))
    return seen


@pytest.fixture
def machine(request: pytest.FixtureRequest, seen: Seen) -> Machine:
    """The machine of this test, looked at. One that cannot be asked is skipped here and red in test_machines."""
    name = request.param
    if name in seen.unknown:
        pytest.skip(seen.unknown[name])
    if name in seen.unreachable:
        pytest.skip(f"{name} cannot be asked: test_machine_answers has the reason")
    return seen.machines[name]


@pytest.fixture(scope="session")
def neighbour(seen: Seen) -> Neighbour:
    """Somebody on the machines' LAN who has knocked at all their LAN addresses."""
    known = [each for name, each in seen.machines.items() if name not in seen.unreachable]
    return Neighbour.knocking(known, desk.inventory(), os.environ.get("DESK_NEIGHBOUR"))
