"""Releases: resumed, proven, unpacked beside, named when whole; the one before stays, a stranger's things too."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.main import Agent

from .archives import FILES, LINKS, PROGRAM, special, tar, tar_gz, tar_zst, zipped
from .shop import Shop
from .support import needs_root, sha256, speaks_ssh

needs_zstd = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
GOOD = tar_gz(tar())
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def shop() -> Iterator[Shop]:
    shop = Shop({"good.tgz": GOOD})
    yield shop
    shop.stop()


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr("deploys.agent.kinds.downloads.time.sleep", slept.append)
    return slept


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "opt" / "ollama"


@pytest.fixture
def fetch(agent: Agent, shop: Shop, place: Path) -> Callable[..., Any]:
    def fetch(name: str = "good.tgz", version: str = "1.0", checksum: str = "", samples: Any = None) -> Any:
        request = {"kind": "release", "id": str(place), "verb": "ensure", "version": version, "url": shop.url(name)}
        request["sha256"] = checksum or sha256(shop.goods.get(name, b""))
        progress = samples.append if samples is not None else lambda _: None
        return agent.work(request, progress)["release"][str(place)]["versions"]

    return fetch


def part(home: Home, content: bytes) -> Path:
    return Path(home.folder("downloads")) / sha256(content)


def versions(agent: Agent, place: Path) -> Any:
    state = agent.kinds["release"].look({str(place): {}})[str(place)]
    return state and state["versions"]


def test_nothing_there_yet(agent: Agent, place: Path) -> None:
    assert versions(agent, place) is None


def test_fetched_proven_and_unpacked(fetch: Any, home: Home, place: Path) -> None:
    samples: list[dict[str, Any]] = []
    assert fetch(samples=samples) == {"1.0": {"sha256": sha256(GOOD), "intact": True}}
    assert (place / "1.0" / "bin" / "ollama").read_bytes() == PROGRAM
    assert samples[-2] == {"what": "downloading", "done": len(GOOD), "total": len(GOOD)}
    assert samples[-1] == {"what": "unpacking"}
    assert list(Path(home.folder("downloads")).iterdir()) == []
    assert [each.name for each in place.iterdir()] == ["1.0"]


ARCHIVES = {
    "tar.gz": (tar_gz, ()),
    "tar": (lambda content: content, ()),
    "tar.zst": (tar_zst, (needs_zstd,)),
}


@pytest.mark.parametrize("pack", [pytest.param(pack, marks=marks, id=name) for name, (pack, marks) in ARCHIVES.items()])
def test_every_tar(pack: Callable[[bytes], bytes], fetch: Any, shop: Shop, place: Path) -> None:
    """Files, modes without setuid, links; owned by whoever unpacks, not by a number of the archive's maker."""
    shop.goods["a"] = pack(tar())
    assert fetch("a")["1.0"]["intact"] is True
    for name, content in FILES.items():
        found = place / "1.0" / name
        assert found.read_bytes() == content
        assert found.stat().st_uid == os.geteuid()
    assert stat.S_IMODE((place / "1.0" / "bin" / "ollama").stat().st_mode) & 0o4777 == 0o755
    for name, target in LINKS.items():
        assert str((place / "1.0" / name).readlink()) == target


def test_zip(fetch: Any, shop: Shop, place: Path) -> None:
    shop.goods["a.zip"] = zipped()
    assert fetch("a.zip")["1.0"]["intact"] is True
    assert {str(each.relative_to(place / "1.0")) for each in (place / "1.0").rglob("*") if each.is_file()} == {
        *FILES,
        ".release.json",
    }


class TestLine:
    def test_goes_on_where_it_was_cut(self, fetch: Any, shop: Shop) -> None:
        shop.cuts = [100, 50]
        assert fetch()
        assert shop.asked == ["", "bytes=100-", "bytes=150-"]

    def test_goes_on_where_an_earlier_run_stopped(self, fetch: Any, shop: Shop, home: Home) -> None:
        part(home, GOOD).write_bytes(GOOD[:70])
        assert fetch()
        assert shop.asked == ["bytes=70-"]

    def test_what_came_whole_is_not_fetched_again(self, fetch: Any, shop: Shop, home: Home) -> None:
        part(home, GOOD).write_bytes(GOOD)
        assert fetch()
        assert shop.asked == []

    def test_server_without_ranges_starts_over(self, fetch: Any, shop: Shop) -> None:
        shop.ranges, shop.cuts = False, [100]
        assert fetch()

    def test_bad_line_may_break_often_while_it_moves(self, fetch: Any, shop: Shop, no_pause: list[float]) -> None:
        shop.cuts = [20] * 12
        assert fetch()
        assert len(shop.asked) == 13
        assert no_pause == []

    def test_reply_without_a_length(self, fetch: Any, shop: Shop) -> None:
        shop.chunked = True
        assert fetch()
        assert shop.asked == [""]

    def test_reply_without_a_length_that_is_cut(self, fetch: Any, shop: Shop) -> None:
        shop.chunked, shop.cuts = True, [60]
        assert fetch()
        assert len(shop.asked) == 2

    def test_trouble_of_the_server_passes(self, fetch: Any, shop: Shop, no_pause: list[float]) -> None:
        shop.statuses = [500, 503]
        assert fetch()
        assert len(no_pause) == 2  # a pause before each try that follows one in vain

    def test_line_that_never_moves_is_given_up(self, fetch: Any, shop: Shop) -> None:
        shop.cuts = [0] * 99
        with pytest.raises(Refused) as caught:
            fetch()
        assert "was cut" in caught.value.why or "IncompleteRead" in caught.value.why
        assert len(shop.asked) == 5

    def test_nobody_there(self, fetch: Any, shop: Shop) -> None:
        shop.stop()
        with pytest.raises(Refused) as caught:
            fetch()
        assert caught.value.why == "Connection refused"

    def test_server_that_speaks_no_http(self, agent: Agent, place: Path) -> None:
        with speaks_ssh() as url:
            request = {"kind": "release", "id": str(place), "verb": "ensure", "version": "1", "url": url}
            with pytest.raises(Refused, match=r"SSH-2\.0"):
                agent.work({**request, "sha256": "0" * 64}, lambda _: None)

    @pytest.mark.parametrize("status", [403, 404, 410])
    def test_refusal_is_not_tried_again(self, status: int, fetch: Any, shop: Shop) -> None:
        shop.statuses = [status] * 9
        with pytest.raises(Refused) as caught:
            fetch()
        assert caught.value.why.startswith(f"the server says {status} ")
        assert len(shop.asked) == 1


class TestProof:
    def test_other_bytes_install_nothing(self, fetch: Any, home: Home, place: Path) -> None:
        with pytest.raises(Refused) as caught:
            fetch(checksum="0" * 64)
        assert caught.value.why == f"its sha256 is {sha256(GOOD)}, not {'0' * 64}"
        assert not place.exists()
        assert list(Path(home.folder("downloads")).iterdir()) == []

    def test_part_that_is_too_long_starts_over_next_time(self, fetch: Any, shop: Shop, home: Home) -> None:
        part(home, GOOD).write_bytes(GOOD + b"junk")
        with pytest.raises(Refused, match="sha256"):
            fetch()
        assert fetch()

    def test_parts_of_other_downloads_are_dropped(self, fetch: Any, home: Home) -> None:
        part(home, b"older").write_bytes(b"half")
        fetch()
        assert list(Path(home.folder("downloads")).iterdir()) == []

    def test_part_is_private(self, fetch: Any, shop: Shop, home: Home) -> None:
        shop.cuts = [100, *[0] * 99]
        with pytest.raises(Refused):
            fetch()
        assert stat.S_IMODE(part(home, GOOD).stat().st_mode) == 0o600


class TestRoom:
    def test_too_little_disk_is_told_before_a_byte(
        self, fetch: Any, home: Home, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("deploys.agent.kinds.downloads.shutil.disk_usage", lambda _: Usage(1, 1, len(GOOD) * 3))
        with pytest.raises(Refused, match="GB are free"):
            fetch()
        assert not part(home, GOOD).exists()

    def test_disk_that_fills_up_while_unpacking_is_left_as_it_was(
        self, agent: Agent, shop: Shop, tiny_disk: Path
    ) -> None:
        shop.goods["big"] = tar_gz(tar({"big": b"x" * 200_000}, {}))
        place = tiny_disk / "ollama"
        request = {"kind": "release", "id": str(place), "verb": "ensure", "version": "1", "url": shop.url("big")}
        with pytest.raises(Refused) as caught:
            agent.work({**request, "sha256": sha256(shop.goods["big"])}, lambda _: None)
        assert "No space left" in caught.value.why
        assert "free some disk space" in caught.value.fix
        assert list(place.iterdir()) == []

    def test_disk_that_fills_up_while_downloading(
        self, agent: Agent, shop: Shop, monkeypatch: pytest.MonkeyPatch, tiny_disk: Path
    ) -> None:
        monkeypatch.setattr("deploys.agent.kinds.downloads.ROOM_FACTOR", 0)
        shop.goods["big"] = os.urandom(200_000)
        agent.kinds["release"].home = Home(agent.system, str(tiny_disk))
        request = {"kind": "release", "id": str(tiny_disk / "x"), "verb": "ensure", "version": "1"}
        request |= {"url": shop.url("big"), "sha256": sha256(shop.goods["big"])}
        with pytest.raises(Refused, match="the disk is full"):
            agent.work(request, lambda _: None)


OUTSIDE = {
    "name with dots": tar({"../../escaped": b"x"}, {}),
    "absolute name": tar({"/escaped": b"x"}, {}),
    "link to the root": tar({}, {"a": "/etc"}),
    "link with dots": tar({}, {"lib/a": "../../etc"}),
    "through a link": tar({}, {"a": "..", "b": "a/.."}),
    "hard link outside": tar({}, {}, [special("a", tarfile.LNKTYPE, "../../etc/passwd")]),
    "device": tar({}, {}, [special("null", tarfile.CHRTYPE)]),
    "pipe": tar({}, {}, [special("pipe", tarfile.FIFOTYPE)]),
}
ZIPS_OUTSIDE = {
    "zip with dots": zipped({"../../escaped": b"x"}),
    "zip with backslashes": zipped({"..\\..\\escaped": b"x"}),
    "zip absolute": zipped({"/escaped": b"x"}),
}
HOSTILE = {
    **{f"{name}, tar.gz": tar_gz(content) for name, content in OUTSIDE.items()},
    **ZIPS_OUTSIDE,
}
if shutil.which("zstd"):
    HOSTILE |= {f"{name}, tar.zst": tar_zst(content) for name, content in OUTSIDE.items()}


class TestHostile:
    @pytest.fixture(params=[True, False], ids=["this Python", "a Python without filters"])
    def filters(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        if not request.param:
            monkeypatch.delattr(tarfile, "data_filter", raising=False)

    @pytest.mark.usefixtures("filters")
    @pytest.mark.parametrize("name", HOSTILE)
    def test_archive_that_leads_outside_is_refused(self, name: str, fetch: Any, shop: Shop, place: Path) -> None:
        shop.goods["a"] = HOSTILE[name]
        with pytest.raises(Refused) as caught:
            fetch("a")
        assert "leads outside" in caught.value.why or "is a device" in caught.value.why
        assert list(place.iterdir()) == []  # nothing half unpacked stays
        assert not any(place.parent.parent.rglob("escaped"))

    @needs_root
    def test_owners_of_the_archive_mean_nothing_on_a_python_without_filters(
        self, fetch: Any, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
        fetch()
        assert (place / "1.0" / "bin" / "ollama").stat().st_uid == 0

    @pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04 broken", GOOD[: len(GOOD) // 2]])
    def test_what_is_no_archive_is_a_sentence(self, content: bytes, fetch: Any, shop: Shop, place: Path) -> None:
        shop.goods["a"] = content
        with pytest.raises(Refused, match="unpack what was downloaded"):
            fetch("a")
        assert list(place.iterdir()) == []

    @needs_zstd
    def test_damaged_zstd(self, fetch: Any, shop: Shop, place: Path) -> None:
        good = tar_zst(tar())
        for damaged in (good[: len(good) // 2], good[:50] + b"\0\0\0\0" + good[54:]):
            shop.goods["a"] = damaged
            with pytest.raises(Refused, match="unpack what was downloaded"):
                fetch("a")
            assert list(place.iterdir()) == []

    @needs_zstd
    def test_machine_without_zstd(
        self, fetch: Any, shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        shop.goods["a"] = tar_zst(tar())
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Refused) as caught:
            fetch("a")
        assert caught.value.why == "there is no zstd on this machine"


class TestIntact:
    def damage(self, place: Path, how: str) -> None:
        program = place / "1.0" / "bin" / "ollama"
        if how == "other bytes":
            program.write_bytes(PROGRAM + b"evil")
        elif how == "same length":
            program.write_bytes(PROGRAM.replace(b"echo", b"evil"))
        elif how == "mode":
            program.chmod(0o777)
        elif how == "gone":
            program.unlink()
        elif how == "one more":
            (place / "1.0" / "lib" / "evil.so").touch()
        elif how == "link to a directory turned":
            (place / "1.0" / "lib" / "current").unlink()

    @pytest.mark.parametrize(
        "how", ["other bytes", "same length", "mode", "gone", "one more", "link to a directory turned"]
    )
    def test_change_by_hand_is_seen_and_mended(self, how: str, fetch: Any, agent: Agent, place: Path) -> None:
        fetch()
        self.damage(place, how)
        assert versions(agent, place)["1.0"]["intact"] is False
        assert fetch()["1.0"]["intact"] is True
        assert (place / "1.0" / "bin" / "ollama").read_bytes() == PROGRAM
        assert not (place / "1.0" / "lib" / "evil.so").exists()
        assert [each.name for each in place.iterdir()] == ["1.0"]

    def test_version_without_its_mark_is_none_of_ours(self, fetch: Any, agent: Agent, place: Path) -> None:
        fetch()
        (place / "1.0" / ".release.json").write_text("{")
        assert versions(agent, place) == {}


class TestVersions:
    def test_the_one_before_stays_and_older_ones_go(self, fetch: Any, place: Path) -> None:
        for number, version in enumerate(("1.0", "1.1", "2.0")):
            fetch(version=version)
            os.utime(place / version / ".release.json", (number, number))
        assert sorted(each.name for each in place.iterdir()) == ["1.1", "2.0"]

    def test_strangers_things_stay(self, fetch: Any, agent: Agent, home: Home, place: Path) -> None:
        place.mkdir(parents=True)
        (place / "notes.txt").write_text("theirs")
        for name in ("0.9-theirs", "backup.new"):
            (place / name).mkdir()
            (place / name / "precious").touch()
        for version in ("1.0", "1.1", "1.2"):
            fetch(version=version)
        agent.work({"kind": "release", "id": str(place), "verb": "remove"}, lambda _: None)
        assert sorted(each.name for each in place.iterdir()) == ["0.9-theirs", "backup.new", "notes.txt"]
        assert (place / "backup.new" / "precious").exists()
        assert home.manifest() == []

    def test_removal_leaves_no_directory_of_ours(self, fetch: Any, agent: Agent, place: Path) -> None:
        fetch()
        (place / ".2.0.new").mkdir()  # a cut unpacking
        for _ in range(2):
            agent.work({"kind": "release", "id": str(place), "verb": "remove"}, lambda _: None)
        assert not place.exists()
