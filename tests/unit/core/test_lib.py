"""Pure functions: paths of other machines, versions, the packing of the agent, the look's bookkeeping."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.facts import link, zipapp
from deploys.facts.look import Machine
from deploys.lib.paths import joined, parent
from deploys.lib.versions import older
from deploys.operations.resource import Pace, orphans

part = st.from_regex(r"[\w. -]{1,8}", fullmatch=True)


@pytest.mark.parametrize(
    ("directory", "names", "path"),
    [
        ("/opt/x", ("a", "b"), "/opt/x/a/b"),
        (r"C:\ProgramData\x", ("a", "b"), r"C:\ProgramData\x\a\b"),
        ("/opt", (), "/opt"),
    ],
)
def test_joined(directory: str, names: tuple[str, ...], path: str) -> None:
    assert joined(directory, *names) == path


@given(st.sampled_from(["/opt", r"C:\opt"]), part)
def test_parent_of_what_was_joined_is_the_directory(directory: str, name: str) -> None:
    assert parent(joined(directory, name)) == directory


@pytest.mark.parametrize(
    ("one", "other", "is_older"),
    [
        ("1.98.9", "1.98.10", True),
        ("1.98.10", "1.98.9", False),
        ("1.90.0", "1.90.0", False),
        ("1.90", "1.90.1", True),
        ("1.104.0", "1.98.10", False),
        ("1.98.10-t1a2b3", "1.98.11", True),
    ],
)
def test_older(one: str, other: str, is_older: bool) -> None:
    assert older(one, other) is is_older


numbers = st.lists(st.integers(0, 999), min_size=3, max_size=3)


@given(numbers, numbers)
def test_versions_are_ordered_as_their_numbers(one: list[int], other: list[int]) -> None:
    assert older(".".join(map(str, one)), ".".join(map(str, other))) is (one < other)


def test_agent_holds_its_sources_and_nothing_else() -> None:
    with zipfile.ZipFile(io.BytesIO(zipapp.packed())) as archive:
        names = archive.namelist()
        assert "__main__.py" in names
        assert {name for name in names if name != "__main__.py"} == {
            f"agent/{each.name}" for each in zipapp.SOURCES.glob("*.py")
        }
        assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("out", ["", "{", "[]", "7", "null", '{"a": 1}{', "noise\n{}"])
def test_only_a_whole_document_is_an_answer(out: str) -> None:
    assert link.whole(out) is None


def test_whole_document() -> None:
    assert link.whole('{"state": {}}\n') == {"state": {}}


def test_failure_is_one_sentence() -> None:
    failed = link.Failed({"what": "write /x", "why": "a directory is there", "fix": "move it away"})
    assert str(failed) == "could not write /x: a directory is there. Fix: move it away."


def test_orphans_are_what_only_the_manifest_names_youngest_first() -> None:
    machine = Machine(manifest=[("directory", "/a"), ("file", "/a/b"), ("file", "/c")])
    machine.declared["file", "/c"] = {}
    assert orphans(machine) == [("file", "/a/b"), ("directory", "/a")]


def test_pace_tells_bytes_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("deploys.operations.resource.time.monotonic", lambda: now[0])
    pace = Pace()
    assert pace.tell({}) == "working"
    assert pace.tell({"what": "unpacking"}) == "unpacking"
    assert pace.tell({"what": "pulling", "done": 0, "total": 10**10}) == "pulling 0 KB of 10.00 GB"
    now[0] += 10
    said = pace.tell({"what": "pulling", "done": 10**9, "total": 10**10})
    assert said == "pulling 1.00 GB of 10.00 GB, 100.00 MB/s, 1 min 30 s left"
    assert pace.tell({"what": "pulling", "done": 10**9, "total": 10**10}) == "pulling 1.00 GB of 10.00 GB"
