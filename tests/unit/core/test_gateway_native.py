"""The gateway without a container: its data, its version, and what makes way for it first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploys.operations.files import text_of
from deploys.roles.gateway_native import LOCK, same_version
from deploys.schema import Nonsense, Program
from group_data import apex, linux, windows

from .project import Project


def test_the_lock_is_of_the_version_that_the_image_has() -> None:
    same_version(apex.gateway, text_of(LOCK))


@pytest.mark.parametrize("locked", ["1.103.0", "1.82.7", "1.82.8"])
def test_another_version_is_refused(locked: str) -> None:
    with pytest.raises(Nonsense, match=f"holds LiteLLM {locked}"):
        same_version(apex.gateway, f"click==8.5.1 \\\nlitellm=={locked} \\\n")


def test_a_lock_without_it_is_refused() -> None:
    with pytest.raises(Nonsense, match="holds LiteLLM none"):
        same_version(apex.gateway, "click==8.5.1 \\\n")


@pytest.mark.parametrize("home", ["", "/opt/python"])
def test_a_program_has_a_home_exactly_when_it_is_released(home: str) -> None:
    release = None if home else linux.gateway_native.uv.release
    with pytest.raises(Nonsense, match="home"):
        Program("python3", home=home, release=release)


def test_the_service_may_write_nothing_that_it_runs() -> None:
    for native in (linux.gateway_native, windows.gateway_native):
        assert not native.venvs.startswith(native.state)


def test_what_makes_way_goes_before_what_comes_and_once(tmp_path: Path) -> None:
    project = Project(tmp_path)
    old = 'files.config("Old", PLACE + "/old", text="x", access=ACCESS)'
    way = 'resource.made_way("Make way", "file", PLACE + "/old")'
    new = 'files.config("New", PLACE + "/new", text="x", access=ACCESS)'
    imported = "from deploys.operations import resource"
    project.wants(imported, way, new.replace("/new", "/first"))
    assert project.converge().said("changed") == [("file", f"{project.place}/first")], "nothing to make way for"
    project.wants(old)
    project.converge()
    project.wants(imported, way, new)
    ran = project.converge()
    assert ran.code == 0, ran.output
    assert ran.said("changed") == [("file", f"{project.place}/{name}") for name in ("old", "new")]
    assert not (project.place / "old").exists()
    assert project.plan().said("planned") == []


def test_whole_trees_leave_as_a_job(tmp_path: Path) -> None:
    """On a slow disk their going outlives an answer."""
    project = Project(tmp_path)
    project.wants('files.config("File", PLACE + "/file", text="x", access=ACCESS)')
    project.converge()
    tree = project.place / "releases"
    manifest = json.loads((project.home / "managed.json").read_text())
    gone = [{"kind": "release", "id": str(tree), "spec": {}}]
    (project.home / "managed.json").write_text(json.dumps([*manifest, *gone]))
    ran = project.converge()
    assert ran.said("changed") == [("release", str(tree))], ran.output
    (job,) = (project.home / "jobs").glob("*.json")
    assert json.loads(job.read_text())["state"] == "done"
    assert project.plan().said("planned") == []
