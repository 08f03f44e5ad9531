"""Virtual environments: whole or absent, made again when changed by hand, one older kept.

uv is a stand-in that makes what uv makes; the lab's suite proves the same code against uv itself.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.main import Agent

from .support import sha256

LOCK = "litellm==1.104.0 \\\n    --hash=sha256:00\nclick==8.5.1 \\\n    --hash=sha256:11\n"
UV = """#!/bin/sh
echo "$@" >> {folder}/asked
env > {folder}/environment
[ -e {folder}/refuse ] && {{ printf '  x No solution found\\n  ╰─▶ hash mismatch for click\\n' >&2; exit 2; }}
if [ "$1" = venv ]; then
  for last; do :; done
  mkdir -p "$last/bin" "$last/lib/litellm/__pycache__"
  ln -s {python} "$last/bin/python"
  touch "$last/.lock"
  exit
fi
while [ "$1" != --python ]; do shift; done
echo 'print("LiteLLM")' > "${{2%/bin/python}}/lib/litellm/main.py"
echo bytecode > "${{2%/bin/python}}/lib/litellm/__pycache__/main.pyc"
mkdir -p "$UV_CACHE_DIR/archive-v0/aa" "$UV_CACHE_DIR/archive-v0/bb"
[ ! -e {folder}/slow ] || sleep 1
"""
Usage = namedtuple("Usage", "total used free")
Make = Callable[..., Any]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    folder = tmp_path / "tools"
    folder.mkdir()
    shutil.copy("/bin/sh", folder / "python3")
    (folder / "uv").write_text(UV.format(folder=folder, python=folder / "python3"))
    (folder / "uv").chmod(0o755)
    (folder / "lock").write_text(LOCK)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "opt" / "litellm" / "venvs"


@pytest.fixture
def make(agent: Agent, tools: Path, place: Path) -> Make:
    def make(name: str = "one", samples: list[Any] | None = None, **more: Any) -> Any:
        request: dict[str, Any] = {
            "kind": "venv",
            "id": str(place),
            "verb": "ensure",
            "name": name,
            "lock": str(tools / "lock"),
        }
        request |= {"sha256": sha256(LOCK.encode()), "python": str(tools / "python3"), "uv": str(tools / "uv")}
        request |= {"program": "bin/python"}
        request |= {"index": None, "room_gb": 0.001, **more}
        samples = [] if samples is None else samples
        return agent.work(request, samples.append)["venv"][str(place)]["made"]

    return make


def names(place: Path) -> list[str]:
    return sorted(each.name for each in place.iterdir())


def look(agent: Agent, place: Path) -> Any:
    return agent.kinds["venv"].look({str(place): {}})[str(place)]


def test_made_whole_and_seen(agent: Agent, home: Home, make: Make, place: Path, tools: Path) -> None:
    found = {"one": {"lock": sha256(LOCK.encode()), "python": str(tools / "python3"), "intact": True}}
    assert look(agent, place) is None
    assert make() == found
    assert look(agent, place) == {"made": found}
    assert names(place) == ["one"]
    assert not Path(home.path("uv")).exists(), "the cache is gone"
    assert ".lock" not in names(place / "one")
    made, synced = (tools / "asked").read_text().splitlines()
    assert "--require-hashes --only-binary :all:" in synced
    assert "--default-index" not in synced
    assert str(tools / "python3") in made


def test_only_our_settings_reach_uv(make: Make, tools: Path, monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    for name in ("UV_INDEX", "PIP_INDEX_URL", "PYTHONPATH", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "theirs")
    make(index="https://mirror.example/simple")
    seen = (tools / "environment").read_text().splitlines()
    assert not [line for line in seen if "theirs" in line]
    assert {"UV_NO_CONFIG=1", f"UV_CACHE_DIR={home.path('uv')}"} <= set(seen)
    assert "--default-index https://mirror.example/simple" in (tools / "asked").read_text()


def test_progress_counts_packages(make: Make, tools: Path) -> None:
    (tools / "slow").touch()
    samples: list[Any] = []
    make(samples=samples)
    assert {"what": "fetched 2 of at most 2 packages"} in samples


def changed(place: Path) -> Path:
    return place / "one" / "lib" / "litellm" / "main.py"


@pytest.mark.parametrize("how", ["edited", "added", "removed", "opened", "python gone"])
def test_change_by_hand_is_seen_and_healed(how: str, agent: Agent, make: Make, place: Path, tools: Path) -> None:
    home = agent.home
    make()
    home.remember("service", "litellm", inputs={str(place): "one", "/other": "x"})
    match how:
        case "edited":
            changed(place).write_text("print('mine')\n")
        case "added":
            (place / "one" / "lib" / "evil.pth").write_text("import os\n")
        case "removed":
            changed(place).unlink()
        case "opened":
            changed(place).chmod(0o666)
        case "python gone":
            (tools / "python3").rename(tools / "elsewhere")
    assert look(agent, place)["made"]["one"]["intact"] is False
    if how == "python gone":
        (tools / "elsewhere").rename(tools / "python3")
    assert make()["one"]["intact"] is True
    assert names(place) == ["one"]
    assert home.entry("service", "litellm")["inputs"] == {"/other": "x"}, "what ran from it must start again"


def test_bytecode_is_pythons_own(agent: Agent, make: Make, place: Path) -> None:
    make()
    (place / "one" / "lib" / "litellm" / "__pycache__" / "main.pyc").write_text("newer")
    assert look(agent, place)["made"]["one"]["intact"] is True


def test_failure_leaves_nothing_half_and_keeps_what_was_fetched(
    agent: Agent, home: Home, make: Make, place: Path, tools: Path
) -> None:
    make()
    Path(home.folder("uv"), "fetched").touch()
    (tools / "refuse").touch()
    with pytest.raises(Refused) as refused:
        make("two")
    assert refused.value.why == "uv says: x No solution found hash mismatch for click"
    assert names(place) == ["one"]
    assert Path(home.path("uv", "fetched")).exists()


def test_one_older_stays(make: Make, place: Path) -> None:
    for number, name in enumerate(("one", "two", "three")):
        make(name)
        os.utime(place / name / ".venv.json", (number, time.time() + number))
    assert names(place) == ["three", "two"]


def test_refused_without_room(make: Make, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 10, 2_000_000_000))
    with pytest.raises(Refused, match=r"it wants about 3\.0 GB and 2\.0 GB are free"):
        make(room_gb=3.0)
    assert names(place) == []


def test_refused_when_the_lock_is_another(make: Make, tools: Path) -> None:
    (tools / "lock").write_text("litellm==1.82.8\n")
    with pytest.raises(Refused, match="is not what it was just now"):
        make()


def test_without_uv(make: Make, tools: Path) -> None:
    with pytest.raises(Refused, match="run /nowhere/uv"):
        make(uv="/nowhere/uv")


def test_removed_with_all_that_it_holds(agent: Agent, home: Home, make: Make, place: Path) -> None:
    make()
    make("two")
    Path(home.folder("uv"), "fetched").touch()
    agent.work({"kind": "venv", "id": str(place), "verb": "remove"}, lambda _: None)
    assert not place.exists()
    assert not Path(home.path("uv")).exists()
    assert home.entry("venv", str(place)) == {}


def test_a_strangers_things_stay(agent: Agent, make: Make, place: Path) -> None:
    make()
    (place / "mine").mkdir()
    agent.work({"kind": "venv", "id": str(place), "verb": "remove"}, lambda _: None)
    assert names(place) == ["mine"]
