"""What the suites of faults on a Windows Apex share: it is made whole again, one sentence, nothing half-written."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from .conftest import Desk, Machine, Ran

CONFIG, KEYS = r"C:\litellm\app\config.yaml", r"C:\litellm\gateway.env"
RUNS_ON, ROOM = "converge again", "free some disk space"
DATA, LAB_DATA = "group_data/windows.py", "tests/lab/group_data/windows.py"
RELEASE = 'release=Release(**_served["ollama"])'
PROCESSOR = r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor\0"


@pytest.fixture(autouse=True)
def only_on_windows(apex: Machine) -> None:
    if not apex.windows:
        pytest.skip("apex is no Windows machine in this lab: make lab APEX=windows")


@pytest.fixture
def whole(apex: Machine) -> Iterator[None]:
    """Whatever was done to the machine itself is taken back, before the last converge."""
    access = apex.control("files", below=CONFIG.rpartition("\\")[0], content=False)[CONFIG]["sddl"]
    yield
    apex.control("acl", path=CONFIG, sddl=access)
    apex.control("disk", full=False)
    apex.control("elevated", yes=True)
    apex.control("internet", there=True)
    apex.control("installers", code=0)
    apex.control("slow", name="tar.exe", by_s=0)
    apex.control("unlock", path=CONFIG)
    apex.control("set", key=PROCESSOR, name="Identifier", data="Intel64 Family 6 Model 151 Stepping 2")


def one_sentence(ran: Ran, *words: str, machine: str = "apex") -> str:
    """The one line that says all of it."""
    assert ran.code == 1
    assert "Traceback" not in ran.out
    said = [each for each in ran.out.splitlines() if each.startswith(f"{machine}: ") and all(w in each for w in words)]
    assert len(said) == 1, f"not one line says all of {words}"
    print(f"SAID {said[0]}")
    return said[0]


def finishes(desk: Desk, *settings: str) -> None:
    """The next converge does what is left, and nothing is left then."""
    assert desk.run("converge", *settings).code == 0
    assert desk.run("plan", *settings).code == 0


def python(apex: Machine) -> str:
    """The folder of the agent's own Python."""
    return apex.path("agent") + r"\python-3.12.10"


def agents(apex: Machine) -> dict[str, str]:
    """{path: sha256}"""
    found = apex.control("files", below=apex.path("agent"))
    return {path: each["sha256"] for path, each in found.items() if re.fullmatch(r".*\\agent-\w+\.pyz", path)}


def bare(apex: Machine, *, python_too: bool) -> None:
    """As before the agent came."""
    for path in agents(apex):
        apex.control("delete", path=path)
    if python_too:
        apex.control("delete", path=python(apex))


def half_written(apex: Machine) -> list[str]:
    """What a change that was cut short would leave; and whatever is in our home is closed to others."""
    home = apex.control("files", below=apex.path("agent"), content=False)
    for path, about in home.items():
        assert re.search(r";;;(BU|WD|AU)\)", about["sddl"]) is None, f"{path}: {about['sddl']}"
    found = [*home]
    for what in ("gateway", "ollama"):
        found += apex.control("files", below=apex.path(what), content=False)
    names = {path: path.rpartition("\\")[2] for path in found if rf"{apex.path('agent')}\docker" not in path}
    rests = re.compile(r"\.agent-new-.*|\.new-.*|.*\.new|\w{64}\.zip")
    downloads = apex.path("agent") + r"\downloads"  # these go on where they stopped
    return [path for path, name in names.items() if rests.fullmatch(name) and not path.startswith(downloads)]
