"""Files and directories: replaced in one step, never wider than they shall be, the last good version kept."""

from __future__ import annotations

import base64
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.kinds.files import fingerprinted
from deploys.agent.main import Agent
from deploys.agent.posix.system import Posix
from deploys.agent.system import no_progress
from deploys.lib import fingerprint

from .support import MINE, file_request, needs_root, sha256


@pytest.fixture
def wide_umask() -> Any:
    before = os.umask(0)
    yield
    os.umask(before)


def write(agent: Agent, path: Path, text: str, access: str = MINE, **more: Any) -> Any:
    return agent.work({"verb": "ensure", **file_request(path, text, access, **more)}, no_progress)["file"][str(path)]


def refused(agent: Agent, path: Path, text: str, **more: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        write(agent, path, text, **more)
    return caught.value


def leftovers(folder: Path) -> list[str]:
    return [each.name for each in folder.rglob(".new-*")]


def test_written_with_its_directory_and_seen_as_written(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "a b" / "größe.conf"
    assert write(agent, path, "x = ü\n") == {"sha256": sha256("x = ü\n".encode()), "access": MINE}
    assert path.read_text() == "x = ü\n"
    assert agent.kinds["file"].look({str(path): {}}) == {
        str(path): {"sha256": sha256("x = ü\n".encode()), "access": MINE}
    }
    assert leftovers(tmp_path) == []


def test_missing_is_none(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "nowhere" / "x", tmp_path / "file" / "below a file"):
        assert agent.kinds["file"].state(str(path)) is None


def test_unreadable_place_is_refused_with_the_systems_words(agent: Agent, tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(Refused) as caught:
        agent.kinds["file"].state(str(loop / "x"))
    assert "Too many levels of symbolic links" in caught.value.why


@needs_root
def test_secret_is_never_wider_than_0600(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wide_umask: None
) -> None:
    """The temporary is born 0600 and empty of nothing when it gets its access; a watcher never sees it wider."""
    born: list[tuple[int, bytes]] = []
    real = Posix.grant

    def grant(self: Posix, path: str, access: str) -> None:
        born.append((stat.S_IMODE(Path(path).stat().st_mode), Path(path).read_bytes()))
        real(self, path, access)

    monkeypatch.setattr(Posix, "grant", grant)
    folder, seen, done = tmp_path / "secrets", set(), threading.Event()
    folder.mkdir()

    def watch() -> None:
        while not done.is_set():
            for each in os.scandir(folder):
                try:
                    seen.add(stat.S_IMODE(os.lstat(each.path).st_mode))
                except FileNotFoundError:
                    continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(40):
        write(agent, folder / "gateway.env", f"KEY=sk-{number}\n", "administrators", proven_by=["compose", "litellm"])
    done.set()
    watcher.join()
    assert born == [(0o600, f"KEY=sk-{number}\n".encode()) for number in range(40)]
    assert seen == {0o600}


def test_access_alone_is_set_without_a_new_file(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "f"
    write(agent, path, "x")
    inode = path.stat().st_ino
    path.chmod(0o666)
    assert write(agent, path, "x")["access"] == MINE
    assert path.stat().st_ino == inode


@needs_root
@pytest.mark.parametrize("access", ["administrators", "everyone", "only daemon"])
@pytest.mark.parametrize("program", ["", " +x"])
def test_access_comes_back_in_the_words_that_were_given(
    access: str, program: str, agent: Agent, system: Posix, tmp_path: Path
) -> None:
    path, folder = tmp_path / "f", tmp_path / "d"
    assert write(agent, path, "x", access + program)["access"] == access + program
    folder.mkdir()
    system.grant(str(folder), access)
    assert system.access_of(str(folder)) == access


@needs_root
def test_access_in_words(system: Posix, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.touch()
    modes = {"administrators": 0o600, "everyone": 0o644, "everyone +x": 0o755, "only daemon +x": 0o700}
    for access, mode in modes.items():
        system.grant(str(path), access)
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == mode
        assert found.st_uid == (1 if "daemon" in access else 0)


@needs_root
@pytest.mark.parametrize("raw", ["root:daemon 0640", "4711:4712 0444", "daemon:4712 1777"])
def test_any_other_access_is_told_and_restored_raw(raw: str, system: Posix, tmp_path: Path) -> None:
    """Also of users that this machine does not know (any more): they must not hide the file."""
    path = tmp_path / "f"
    path.touch()
    system.grant(str(path), raw)
    assert system.access_of(str(path)) == raw


@pytest.mark.parametrize("access", ["only no-such-user", "no-such:no-such 0600", "everybody", "root:root rwx"])
def test_access_that_means_nothing_here_is_refused(access: str, agent: Agent, tmp_path: Path) -> None:
    error = refused(agent, tmp_path / "f", "x", access=access)
    assert ("no-such" in error.what + error.why) or access in error.why
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


def test_directory_in_the_place_is_refused(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    assert refused(agent, tmp_path / "d", "x").why == "a directory is there"
    assert agent.kinds["file"].state(str(tmp_path / "d"))["is"] == "no regular file"


@pytest.mark.parametrize("target", ["a file", "a directory", "nothing"])
def test_link_in_the_place_gives_way_and_what_it_led_to_stays(target: str, agent: Agent, tmp_path: Path) -> None:
    other, path = tmp_path / "other", tmp_path / "f"
    if target == "a file":
        other.write_text("theirs")
    if target == "a directory":
        other.mkdir()
    path.symlink_to(other)
    assert agent.kinds["file"].state(str(path)) == {"sha256": None, "access": None, "is": "no regular file"}
    write(agent, path, "ours")
    assert not path.is_symlink()
    assert path.read_text() == "ours"
    assert other.exists() is (target != "nothing")
    assert target != "a file" or other.read_text() == "theirs"


def test_what_did_not_arrive_whole_is_not_written(agent: Agent, tmp_path: Path) -> None:
    request = {**file_request(tmp_path / "f", "whole"), "content": base64.b64encode(b"who").decode()}
    with pytest.raises(Refused, match="arrive whole"):
        agent.work({"verb": "ensure", **request}, no_progress)
    assert not (tmp_path / "f").exists()


def test_program_that_refuses_leaves_the_old_file(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "f.conf"
    check = ["sh", "-c", 'grep -q good "$0" || { echo "$0: line 1: bad" >&2; exit 7; }', "{file}"]
    write(agent, path, "good 1", check=check)
    error = refused(agent, path, "bad 2", check=check)
    assert error.why == f"sh refuses it: {path}: line 1: bad"  # in the words of the file, not of our temporary
    assert path.read_text() == "good 1"
    assert leftovers(tmp_path) == []


def test_checking_program_that_is_not_there_is_a_sentence(agent: Agent, tmp_path: Path) -> None:
    assert "no-such-program" in refused(agent, tmp_path / "f", "x", check=["no-such-program", "{file}"]).why
    assert leftovers(tmp_path) == []


def test_full_disk_leaves_the_old_file(agent: Agent, tiny_disk: Path) -> None:
    path = tiny_disk / "f"
    write(agent, path, "old")
    error = refused(agent, path, "x" * 100_000)
    assert error.why == "No space left on device"
    assert "free some disk space" in error.fix
    assert path.read_text() == "old"
    assert leftovers(tiny_disk) == []


def test_full_disk_of_the_home_leaves_the_old_file(system: Posix, tiny_disk: Path, tmp_path: Path) -> None:
    """The last good version cannot be kept: then the present one is not replaced."""
    agent, path = Agent(system, Home(system, str(tiny_disk))), tmp_path / "f"
    write(agent, path, "o" * 100_000)
    error = refused(agent, path, "new")
    assert error.why.startswith("No space left on device")
    assert path.read_text() == "o" * 100_000
    assert leftovers(tiny_disk) == []


def test_leftover_of_a_killed_agent_goes_and_a_strangers_stays(agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "f"
    mine = tmp_path / f".new-{sha256(str(path).encode())[:8]}-abc"
    other = tmp_path / ".new-theirs"
    mine.touch()
    other.touch()
    write(agent, path, "x")
    assert leftovers(tmp_path) == [other.name]


def as_is(*paths: Path) -> dict[str, str]:
    """The inputs of a start with these files."""
    return {str(path): sha256(path.read_bytes()) for path in paths}


class TestLastGood:
    """`proven_by` files are unproven until what reads them is well; sick, the last good version comes back."""

    PROVEN_BY = ("compose", "litellm")

    def write(self, agent: Agent, path: Path, text: str) -> None:
        write(agent, path, text, proven_by=list(self.PROVEN_BY))

    def test_first_version_has_nothing_to_go_back_to(self, agent: Agent, tmp_path: Path) -> None:
        path = tmp_path / "f"
        self.write(agent, path, "v1")
        assert agent.kinds["file"].put_back_unproven(as_is(path)) == []
        assert path.read_text() == "v1"

    def test_sick_version_gives_way_to_the_last_proven_one(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        path = tmp_path / "f"
        self.write(agent, path, "v1")
        home.prove(as_is(path))
        self.write(agent, path, "v2 sick")
        self.write(agent, path, "v3 sick too")  # never proven: v2 must not become the last good one
        assert agent.kinds["file"].put_back_unproven(as_is(path)) == [str(path)]
        assert path.read_text() == "v1"
        assert agent.kinds["file"].state(str(path))["access"] == MINE
        assert agent.kinds["file"].put_back_unproven(as_is(path)) == []  # it is proven: once is enough

    def test_after_going_back_the_way_forward_keeps_again(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        path = tmp_path / "f"
        self.write(agent, path, "v1")
        home.prove(as_is(path))
        self.write(agent, path, "v2 sick")
        agent.kinds["file"].put_back(str(path))
        self.write(agent, path, "v3")
        home.prove(as_is(path))
        self.write(agent, path, "v4 sick")
        agent.kinds["file"].put_back_unproven(as_is(path))
        assert path.read_text() == "v3"

    def test_a_start_proves_only_what_it_had_read(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        """Two converges within seconds: the older one's service is well when the newer one's file is there already."""
        path = tmp_path / "f"
        self.write(agent, path, "v1")
        home.prove(as_is(path))
        self.write(agent, path, "v2")
        started = as_is(path)
        self.write(agent, path, "v3 sick")
        home.prove(started)
        assert agent.kinds["file"].put_back_unproven(as_is(path)) == [str(path)]
        assert path.read_text() == "v1"

    def test_a_start_puts_back_only_what_it_had_read(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        """Nor the other files of that start: the newer one wrote its own for them."""
        path, other = tmp_path / "f", tmp_path / "other"
        for each in (path, other):
            self.write(agent, each, "v1")
        home.prove(as_is(path, other))
        for each in (path, other):
            self.write(agent, each, "v2 sick")
        started = as_is(path, other)
        self.write(agent, path, "v3")
        assert agent.kinds["file"].put_back_unproven(started) == []
        assert [each.read_text() for each in (path, other)] == ["v3", "v2 sick"]
        assert set(agent.kinds["file"].put_back_unproven(as_is(path, other))) == {str(path), str(other)}

    @needs_root
    def test_access_of_the_last_good_version_comes_back_too(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        path = tmp_path / "f"
        write(agent, path, "v1", "only daemon", proven_by=list(self.PROVEN_BY))
        home.prove(as_is(path))
        write(agent, path, "v2", "everyone", proven_by=list(self.PROVEN_BY))
        agent.kinds["file"].put_back(str(path))
        assert agent.kinds["file"].state(str(path)) == {"sha256": sha256(b"v1"), "access": "only daemon"}

    def test_kept_version_is_private_whatever_the_file_was(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        path = tmp_path / "f"
        write(agent, path, "v1")
        path.chmod(0o644)
        write(agent, path, "v2")
        kept = Path(home.kept(str(path)))
        assert kept.read_text() == "v1"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_removal_takes_the_kept_version_along(agent: Agent, home: Home, tmp_path: Path) -> None:
    path = tmp_path / "f"
    write(agent, path, "v1")
    write(agent, path, "v2")
    agent.work({"kind": "file", "id": str(path), "verb": "remove"}, no_progress)
    assert not path.exists()
    assert list(Path(home.folder("kept")).iterdir()) == []
    assert home.manifest() == []
    agent.work({"kind": "file", "id": str(path), "verb": "remove"}, no_progress)  # gone already: fine


class TestWhatWasThereBeforeUs:
    def test_comes_back_with_its_access(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        path = tmp_path / "sshd_config"
        path.write_text("theirs")
        path.chmod(0o640)
        for text in ("v1", "v2", "v3"):
            write(agent, path, text)
        agent.work({"kind": "file", "id": str(path), "verb": "remove"}, no_progress)
        assert path.read_text() == "theirs"
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert list(Path(home.folder("kept")).iterdir()) == []
        assert home.manifest() == []

    def test_is_kept_though_the_first_try_was_refused(self, agent: Agent, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_text("theirs")
        refused(agent, path, "v1", check=["/bin/false"])
        write(agent, path, "v2")
        agent.work({"kind": "file", "id": str(path), "verb": "remove"}, no_progress)
        assert path.read_text() == "theirs"

    def test_what_was_right_already_is_ours_and_leaves(self, agent: Agent, tmp_path: Path) -> None:
        path = tmp_path / "f"
        path.write_text("v1")
        write(agent, path, "v1")
        agent.work({"kind": "file", "id": str(path), "verb": "remove"}, no_progress)
        assert not path.exists()


@pytest.mark.parametrize("text", ["A=1\nB=two=2\n# note\nnothing\n", "", "=\n", "É=ü\r\n\x0bX=1"])
def test_read_gives_text_or_fingerprints(text: str, agent: Agent, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(text.encode())
    assert agent.read({"id": str(path)})["text"] == text
    assert agent.read({"id": str(path), "nonce": None})["text"] == text
    assert agent.read({"id": str(path), "nonce": "n"})["text"] == "".join(fingerprint.fingerprinted(text, "n"))


def test_read_of_what_is_not_there_is_empty(agent: Agent, tmp_path: Path) -> None:
    assert agent.read({"id": str(tmp_path / "none"), "nonce": "n"}) == {"text": ""}
    assert agent.read({"id": str(tmp_path)}) == {"text": ""}


@given(st.text(), st.text(min_size=1, alphabet="0123456789abcdef"))
def test_both_sides_fingerprint_alike(text: str, nonce: str) -> None:
    assert fingerprinted(text, nonce) == fingerprint.fingerprinted(text, nonce)


@given(st.text(st.characters(exclude_characters="\n=", codec="utf-8"), min_size=12))
def test_fingerprint_tells_a_change_and_never_the_value(value: str) -> None:
    one, same, other = (fingerprinted(f"KEY={each}\n", "n") for each in (value, value, value[1:]))
    assert one == same
    assert value not in "".join(one)
    assert len(value.splitlines()) > 1 or one != other


class TestDirectories:
    def ensure(self, agent: Agent, path: Path, access: str = MINE) -> Any:
        request = {"kind": "directory", "id": str(path), "access": access, "verb": "ensure"}
        return agent.work(request, no_progress)["directory"][str(path)]

    def test_made_and_seen(self, agent: Agent, tmp_path: Path) -> None:
        path = tmp_path / "a" / "b"
        assert agent.kinds["directory"].state(str(path)) is None
        assert self.ensure(agent, path) == {"access": MINE}
        path.chmod(0o777)
        assert agent.kinds["directory"].look({str(path): {}})[str(path)] != {"access": MINE}
        assert self.ensure(agent, path) == {"access": MINE}

    def test_file_in_the_place_is_refused(self, agent: Agent, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("theirs")
        with pytest.raises(Refused, match="File exists"):
            self.ensure(agent, tmp_path / "f")

    def test_link_to_a_directory_counts_as_the_directory(self, agent: Agent, tmp_path: Path) -> None:
        """/opt/litellm may lead to another disk."""
        (tmp_path / "big disk").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "big disk")
        assert self.ensure(agent, tmp_path / "link") == {"access": MINE}
        assert (tmp_path / "link").is_symlink()

    def test_leaves_only_when_empty(self, agent: Agent, home: Home, tmp_path: Path) -> None:
        for name, stays in (("empty", False), ("full", True)):
            path = tmp_path / name
            self.ensure(agent, path)
            if stays:
                (path / "theirs").write_text("precious")
            agent.work({"kind": "directory", "id": str(path), "verb": "remove"}, no_progress)
            assert path.exists() is stays
        assert home.manifest() == []

    def test_unknown_user_is_a_sentence(self, agent: Agent, tmp_path: Path) -> None:
        with pytest.raises(Refused, match="no user of that name"):
            self.ensure(agent, tmp_path / "d", "only no-such-user")
