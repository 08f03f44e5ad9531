"""What the agent keeps beside itself: damaged, it is made anew; and one desk at a time."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploys.agent.errors import Refused, why_of
from deploys.agent.home import LEASE_S, Home
from deploys.agent.main import Agent
from deploys.agent.system import no_progress

from .support import RUN, ensure, file_request

NOW = 1_795_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [NOW]
    monkeypatch.setattr("deploys.agent.home.time.time", lambda: now[0])
    return now


def test_manifest_keeps_the_order_of_first_entry(home: Home) -> None:
    for name in ("a", "b", "c"):
        home.remember("file", name)
    home.remember("file", "a", sha256="00")
    home.remember("directory", "a")
    home.forget("file", "b")
    home.forget("file", "never there")
    assert [(each["kind"], each["id"]) for each in home.manifest()] == [
        ("file", "a"),
        ("file", "c"),
        ("directory", "a"),
    ]
    assert home.entry("file", "a")["sha256"] == "00"
    assert home.entry("file", "b") == {}


def test_nothing_new_writes_nothing(home: Home) -> None:
    home.remember("file", "a", sha256="00")
    before = Path(home.path("managed.json")).stat().st_ino
    home.remember("file", "a", sha256="00")
    home.forget("file", "z")
    assert Path(home.path("managed.json")).stat().st_ino == before


def test_documents_are_private_and_replaced_whole(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    home.write("x.json", {"a": "ü"})
    os.umask(before)
    assert stat.S_IMODE(Path(home.path("x.json")).stat().st_mode) == 0o600
    assert home.read("x.json") == {"a": "ü"}

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(home.system, "replace", full)
    with pytest.raises(Refused, match="No space left"):
        home.write("x.json", {"a": 2})
    assert home.read("x.json") == {"a": "ü"}
    assert list(Path(home.directory).glob(".new-*")) == []


def test_home_is_where_the_agent_lies(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    monkeypatch.setattr("sys.argv", ["/var/lib/somewhere/agent-1.pyz", "look"])
    assert Home(home.system).directory == "/var/lib/somewhere"


def test_last_good_versions_of_different_files_do_not_meet(home: Home) -> None:
    assert home.kept("/etc/a") != home.kept("/etc/b")


DAMAGED = [
    b"",
    b"\0\0\0\0",
    b"[{",
    b"\xff\xfe",
    b"null",
    b"7",
    b'"text"',
    b"{}",
    b"[7, null, {}]",
    b'{"run": "x"}',
    b"[" * 9999,
]


@pytest.mark.parametrize("content", DAMAGED, ids=lambda each: repr(each[:12]))
def test_damaged_documents_are_made_anew(content: bytes, agent: Agent, home: Home, tmp_path: Path) -> None:
    for name in ("managed.json", "lease.json", "provenance.json"):
        Path(home.path(name)).write_bytes(content)
    agent.look({})
    agent.do(ensure(file_request(tmp_path / "f", "x")))
    assert agent.look({})["manifest"] == [["file", str(tmp_path / "f")]]
    assert json.loads(Path(home.path("lease.json")).read_text())["run"] == RUN["id"]
    assert agent.look({})["provenance"]["commit"] == RUN["commit"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["file", "model"]), st.text(max_size=4), st.booleans()), max_size=8))
def test_manifest_is_what_was_remembered_less_what_was_forgotten(
    home: Home, monkeypatch: pytest.MonkeyPatch, steps: list[tuple[str, str, bool]]
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # 50 examples of real syncing take seconds
    Path(home.path("managed.json")).unlink(missing_ok=True)
    wanted: dict[tuple[str, str], None] = {}
    for kind, name, remembered in steps:
        if remembered:
            home.remember(kind, name)
            wanted[kind, name] = None
        else:
            home.forget(kind, name)
            wanted.pop((kind, name), None)
    assert [(each["kind"], each["id"]) for each in home.manifest()] == list(wanted)


OTHER = {**RUN, "id": "run-2", "by": "bob", "desk": "apex"}


def test_other_desk_waits_and_is_told_how_long(home: Home, clock: list[float]) -> None:
    home.take_lease(RUN)
    clock[0] += 20
    with pytest.raises(Refused) as caught:
        home.take_lease(OTHER)
    assert caught.value.why == f"ann at g16 is converging it since {RUN['when']}"
    assert caught.value.fix == "wait 41 s and try again"


def test_lease_ends(home: Home, clock: list[float]) -> None:
    home.take_lease(RUN)
    clock[0] += LEASE_S
    home.take_lease(OTHER)
    assert home.read("lease.json")["by"] == "bob"


def test_each_step_renews_it(home: Home, clock: list[float]) -> None:
    home.take_lease(RUN)
    clock[0] += LEASE_S - 1
    home.take_lease({**RUN, "when": "later"})
    clock[0] += LEASE_S - 1
    with pytest.raises(Refused, match=re.escape(RUN["when"])):  # since the run began, not since its last step
        home.take_lease(OTHER)


def test_a_new_run_clears_what_dead_writers_left(home: Home) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    jobs = Path(home.folder("jobs"))
    living, theirs = jobs / f".new-{os.getpid()}-{'0' * 16}", jobs / ".new-theirs"
    for rest in (living, theirs, jobs / f".new-{gone.pid}-{'0' * 16}", Path(home.path(f".new-{gone.pid}-{'1' * 16}"))):
        rest.write_text('{"half')
    home.take_lease(RUN)
    assert set(Path(home.directory).rglob(".new-*")) == {living, theirs}


def test_same_desk_takes_over_from_its_own_interrupted_run(home: Home, clock: list[float]) -> None:
    home.take_lease(RUN)
    home.take_lease({**RUN, "id": "run-3", "when": "later"})
    assert home.read("lease.json")["since"] == "later"


def test_clock_set_back_locks_nobody_out(home: Home, clock: list[float]) -> None:
    home.take_lease(RUN)
    clock[0] -= 86_400
    home.take_lease(OTHER)


def test_refused_change_changes_nothing(agent: Agent, clock: list[float], tmp_path: Path) -> None:
    agent.do(ensure(file_request(tmp_path / "f", "ann's")))
    with pytest.raises(Refused):
        agent.do({**ensure(file_request(tmp_path / "f", "bob's")), "run": OTHER})
    assert (tmp_path / "f").read_text() == "ann's"
    assert agent.look({})["provenance"]["by"] == "ann"
    agent.work({"kind": "file", "id": str(tmp_path / "f"), "verb": "remove"}, no_progress)


def test_reasons_are_in_the_systems_own_words() -> None:
    assert why_of(FileNotFoundError(2, "No such file or directory", "/x")) == "No such file or directory: /x"
    assert why_of(OSError("plain")) == "plain"
    assert why_of(ValueError()) == "ValueError"
    assert Refused("do", "why", "fix").to_json() == {"what": "do", "why": "why", "fix": "fix"}
