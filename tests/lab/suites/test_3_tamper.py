"""Each managed thing broken alone by hand: verify goes red naming it, plan names it, converge heals it alone.

Another project on Apex stays as it was before the first of them, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Desk, Machine, described
from .neighbours import Neighbour, Snapshot, assert_untouched, living
from .tampers import ON_G16, ON_LINUX, ON_WINDOWS

ON_APEX = ON_WINDOWS if described()["machines"]["apex"].get("os") == "windows" else ON_LINUX
TAMPERS = {
    **{f"apex: {what}": each for what, each in ON_APEX.items()},
    **{f"g16: {k}": each for k, each in ON_G16.items()},
}


@pytest.fixture
def healed(desk: Desk) -> Iterator[None]:
    """Whatever was not seen is healed all the same: one failure shall not make the others fail."""
    yield
    desk.run("converge")


@pytest.fixture(scope="module")
def beside(machines: dict[str, Machine], lab: dict[str, Any]) -> Iterator[tuple[Neighbour, Snapshot]]:
    """The other project, and how it was before anything was broken."""
    with living(machines["apex"], lab) as neighbour:
        yield neighbour, neighbour.snapshot()


@pytest.mark.usefixtures("healed")
@pytest.mark.parametrize("what", TAMPERS)
def test_it_is_seen_named_and_healed_alone(
    what: str, desk: Desk, machines: dict[str, Machine], beside: tuple[Neighbour, Snapshot]
) -> None:
    tamper = TAMPERS[what]
    machine = machines[tamper.machine]
    machine.sh(tamper.do) if isinstance(tamper.do, str) else tamper.do(machine)

    verify = desk.run("verify", f"HOST={machine.name}")
    assert verify.code == 1, "verify did not see it"
    assert tamper.named in verify.out

    plan = desk.run("plan")
    assert plan.code == 2
    assert [_without_version(each) for each in plan.changes()] == [f"{machine.name} {each}" for each in tamper.planned]

    converged = desk.run("converge")
    assert converged.code == 0
    assert f"{machine.name}: {len(tamper.planned)} changed" in converged.out
    other = "g16" if machine.name == "apex" else "apex"
    assert converged.unchanged(other)
    assert desk.run("plan").code == 0
    assert desk.run("verify", f"HOST={machine.name}").code == 0
    neighbour, before = beside
    assert_untouched(before, neighbour.snapshot())


def _without_version(change: str) -> str:
    """A path entry names the release's directory, whose version is data."""
    return re.sub(r"(path_entry .*)\\[\d.]+$", r"\1", change)
