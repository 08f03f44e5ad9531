"""Folders of ours that somebody made before us, and links in the place of what we set the access of."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.main import Agent
from deploys.agent.posix import modes

from .support import MINE, ensure, needs_root

EVE, SELF = 54321, 54322  # users whom this machine does not know; the second is the one the desk comes as
KINDS = ("directory", "release", "venv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`bin` and a file in it, made by us."""
    made = tmp_path / "shared" / "litellm"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "sitecustomize.py").write_text("theirs")
    return made


def look(agent: Agent, kind: str, path: Path, access: str = MINE) -> Any:
    return agent.look({"asked": [[kind, str(path), {"access": access}]]})["state"][kind][str(path)]


def make(agent: Agent, path: Path, kind: str = "directory", access: str = MINE) -> Any:
    return agent.do(ensure({"kind": kind, "id": str(path), "access": access}))


@needs_root
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whose", [".", "bin", "bin/sitecustomize.py"])
def test_what_a_user_put_there_is_not_taken_over(agent: Agent, folder: Path, kind: str, whose: str) -> None:
    at = folder / whose
    os.chown(at, EVE, EVE)
    assert look(agent, kind, folder)["unknown"] == {
        "what": f"take over {folder}",
        "why": f"{at} belongs to {EVE}, who could have put anything there",
        "fix": f"see who made that; move {folder} away, or have administrators own all of it, and converge again",
    }
    with pytest.raises(Refused, match=f"belongs to {EVE}"):
        make(agent, folder, kind)
    assert agent.home.manifest() == []
    assert at.stat().st_uid == EVE


@needs_root
def test_a_link_of_a_user_is_not_taken_over(agent: Agent, folder: Path) -> None:
    for at in (folder / "bin" / "python", folder.parent / "ours"):
        at.symlink_to(folder.parent)
        os.lchown(at, EVE, EVE)
        place = folder if at.parent != folder.parent else at
        assert look(agent, "directory", place)["unknown"]["why"] == f"{at} is a link to another place"
        with pytest.raises(Refused, match="is a link"):
            make(agent, place)
        at.unlink()


def test_an_administrators_own_links_are_theirs_to_make(agent: Agent, folder: Path) -> None:
    """A virtual environment has some, and the folder itself may be on another disk; what is there is looked at too."""
    (folder / "bin" / "python").symlink_to("/usr/bin/python3")
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert make(agent, link) == {"state": {"directory": {str(link): {"access": MINE}}}}
    assert (folder / "bin" / "python").is_symlink()


@needs_root
def test_what_an_administrators_link_leads_to_is_looked_at(agent: Agent, folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    os.chown(folder, EVE, EVE)
    assert "belongs to" in look(agent, "directory", link)["unknown"]["why"]


def test_what_others_may_write_is_closed_to_them(agent: Agent, folder: Path) -> None:
    file = folder / "bin" / "sitecustomize.py"
    file.chmod(0o666)
    folder.chmod(0o700)
    assert look(agent, "directory", folder)["wide"] is True
    make(agent, folder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert file.read_text() == "theirs"
    assert look(agent, "directory", folder) == {"access": MINE}


@needs_root
def test_the_owners_own_older_folder_is_taken_over(agent: Agent, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by the one as whom the desk comes, before sudo."""
    monkeypatch.setenv("SUDO_UID", str(SELF))
    file = folder / "bin" / "sitecustomize.py"
    for each in (folder, folder / "bin", file):
        os.chown(each, SELF, SELF)
    file.chmod(0o600)
    assert look(agent, "directory", folder)["wide"] is True
    make(agent, folder)
    assert [each.stat().st_uid for each in (folder, folder / "bin", file)] == [0, 0, 0]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@needs_root
def test_what_is_ours_or_given_to_a_user_is_not_searched(agent: Agent, folder: Path) -> None:
    os.chown(folder / "bin", 65534, 65534)
    make(agent, folder, access="only nobody")
    assert look(agent, "directory", folder) != {"access": MINE}
    assert "error" not in make(agent, folder)


# -- the object itself
@needs_root
def test_access_is_not_set_through_a_users_link(tmp_path: Path) -> None:
    secret, link, loop = tmp_path / "secret", tmp_path / "link", tmp_path / "loop"
    secret.write_text("x")
    secret.chmod(0o600)
    link.symlink_to(secret)
    loop.symlink_to(loop)
    for each in (link, loop):
        with pytest.raises(Refused, match="is a link to another place"):
            modes.grant(str(each), "everyone")
    link.unlink()
    link.symlink_to(tmp_path)
    os.lchown(link, EVE, EVE)
    with pytest.raises(Refused, match="is a link to another place"):
        modes.grant(str(link), "everyone")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_what_is_held_keeps_its_name(tmp_path: Path) -> None:
    """Swapped for a link in between, the file that was looked at gets its access."""
    file, other = tmp_path / "file", tmp_path / "other"
    for each in (file, other):
        each.write_text("x")
        each.chmod(0o600)
    with modes.held(str(file)) as named:
        file.rename(tmp_path / "aside")
        file.symlink_to(other)
        Path(named).chmod(0o644)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (other, tmp_path / "aside")] == [0o600, 0o644]
