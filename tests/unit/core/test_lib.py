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
from deploys.lib.sddl import others_who_change
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


SSHD_S = "D:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;AU)"
TRUSTED_INSTALLER = "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
PROGRAM_DATA_S = "D:AI(A;OICIIOID;GA;;;CO)(A;OICIID;FA;;;SY)(A;OICIID;0x1200a9;;;BU)(A;CIID;DCLCRPCR;;;BU)"


@pytest.mark.parametrize(
    ("access", "others"),
    [
        (SSHD_S, []),
        (SSHD_S.replace("0x1200a9", "FRFX"), []),
        (f"{SSHD_S}(A;OICI;GXGR;;;WD)(A;;FA;;;{TRUSTED_INSTALLER})(D;;FA;;;BU)", []),
        (f"{SSHD_S}(A;;LC;;;AU)", ["S-1-5-11"]),
        (f"{SSHD_S}(A;;FA;;;S-1-5-21-1-2-3-1001)", ["S-1-5-21-1-2-3-1001"]),
        (f"{SSHD_S}(A;OICIIO;0x1301bf;;;WD)(A;;0x40;;;BU)", ["S-1-1-0", "S-1-5-32-545"]),
        (f"{SSHD_S}(A;;0x40000000;;;XX)", ["XX"]),
        (f'{SSHD_S}(XA;;FW;;;AU;(WIN://SYSAPPID Contains "x"))', ["S-1-5-11"]),
        (PROGRAM_DATA_S, ["S-1-3-0", "S-1-5-32-545"]),
        ("D:NO_ACCESS_CONTROL", ["S-1-1-0"]),
    ],
)
def test_who_may_change_what_has_this_access_list(access: str, others: list[str]) -> None:
    assert others_who_change(access) == others


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
            f"agent/{each.relative_to(zipapp.SOURCES).as_posix()}" for each in zipapp.SOURCES.rglob("*.py")
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
