"""Long work goes on by itself: a cut link ends nothing, a later run finds it again, a killed one is told as such."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.jobs import Jobs
from deploys.agent.posix.system import Posix

from .support import ROOT, RUN, Packed, State, ensure, file_request


@pytest.fixture
def jobs(packed: Packed, monkeypatch: pytest.MonkeyPatch) -> Jobs:
    """In this process, as the packed agent would: the detached side is the real zipapp."""
    monkeypatch.setattr("sys.argv", [str(packed.file), "do"])
    system = Posix()
    return Jobs(system, Home(system))


def job(path: Path, text: str = "x", lasts_s: float = 0.0, **more: Any) -> State:
    """A request whose work takes as long as its check does."""
    check = ["sh", "-c", f"sleep {lasts_s}"]
    return ensure({**file_request(path, text), "check": check, "job": True, "wait_s": 0, **more})


def document(jobs: Jobs, name: str) -> State:
    found: State = jobs.home.read(f"jobs/{name}.json")
    return found


def running(jobs: Jobs, name: str) -> State:
    """The job's document once it runs."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        found = document(jobs, name)
        if found["state"] == "running":
            return found
        time.sleep(0.02)
    raise AssertionError(f"it never ran: {found}")


def test_done_job_gives_the_answer_of_its_work(jobs: Jobs, tmp_path: Path) -> None:
    name = jobs.start(job(tmp_path / "f"))
    done = jobs.wait(name, 20)
    assert done["state"] == "done"
    assert done["answer"]["file"][str(tmp_path / "f")]["sha256"]
    assert jobs.wait(name, 0) == done  # whoever asks later hears the same


def test_running_job_is_found_again_and_not_started_twice(jobs: Jobs, tmp_path: Path) -> None:
    first = jobs.start(job(tmp_path / "f", lasts_s=30))
    pid = running(jobs, first)["pid"]
    again = jobs.start(job(tmp_path / "f", lasts_s=30, run={**RUN, "id": "run-2"}, wait_s=3))
    assert again == first
    assert running(jobs, again)["pid"] == pid
    assert jobs.wait(first, 0.2) == {"job": first, "state": "running", "progress": {}, "answer": None}
    os.killpg(pid, signal.SIGKILL)


def test_other_request_for_the_same_thing_replaces_the_running_one(jobs: Jobs, tmp_path: Path) -> None:
    name = jobs.start(job(tmp_path / "f", "old", lasts_s=30))
    before = running(jobs, name)
    assert jobs.start(job(tmp_path / "f", "new")) == name
    assert jobs.wait(name, 20)["state"] == "done"
    assert (tmp_path / "f").read_text() == "new"
    assert not jobs.system.is_alive(before["pid"], before["started"])


class TestUncut:
    """A step that must not be cut is let finish before another request takes its place."""

    @pytest.fixture
    def other(self, jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
        """The document of a job that runs, in a process that does nothing, in the middle of such a step."""
        name = jobs.id_of(job(jobs_file(jobs)))
        monkeypatch.setattr("deploys.agent.jobs.UNCUT_S", 0.6)
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
            made: State = {"state": "running", "wanted": "another", "progress": {"what": "starting", "uncut": True}}
            made.update(pid=process.pid, started=jobs.system.started(process.pid))
            jobs.home.write(f"jobs/{name}.json", made)
            yield {**made, "name": name, "process": process}
            process.kill()

    def test_is_waited_for(self, jobs: Jobs, other: State) -> None:
        def turn() -> None:
            assert Path(jobs.home.path("jobs", f"{other['name']}.cut")).exists()
            assert other["process"].poll() is None
            document = {key: other[key] for key in ("state", "wanted", "pid", "started")}
            jobs.home.write(f"jobs/{other['name']}.json", {**document, "progress": {"what": "waiting"}})

        timer = threading.Timer(0.3, turn)
        timer.start()
        assert jobs.start(job(jobs_file(jobs))) == other["name"]
        timer.join()
        assert other["process"].wait(5) == -signal.SIGKILL
        assert jobs.wait(other["name"], 20)["state"] == "done"
        assert not Path(jobs.home.path("jobs", f"{other['name']}.cut")).exists()

    def test_is_never_cut(self, jobs: Jobs, other: State) -> None:
        with pytest.raises(Refused, match="must not be cut there"):
            jobs.start(job(jobs_file(jobs)))
        assert other["process"].poll() is None

    def test_does_not_begin_when_another_has_asked(self, jobs: Jobs) -> None:
        """However the two looks fall, one sees the other: here the mark was there first."""
        home, name, went_on = jobs.home, "0" * 16, []
        home.write(f"jobs/{name}.request.json", {"kind": "compose", "id": "x"})
        home.write(f"jobs/{name}.json", {"state": "starting", "wanted": "w"})
        home.write(f"jobs/{name}.cut", {})

        def work(request: State, progress: Any) -> State:
            progress({"what": "pulling"})
            try:
                progress({"what": "starting", "uncut": True})
            except Refused:
                went_on.append("put back the files that the newer converge has just written")
                raise
            went_on.append("started")
            return {}

        jobs.run(name, work)
        assert not went_on
        with pytest.raises(Refused, match="a newer converge wants something else"):
            jobs.wait(name, 0)

    def test_mark_of_one_that_was_killed_meanwhile_hurts_nobody(self, jobs: Jobs) -> None:
        request = job(jobs_file(jobs))
        jobs.home.write(f"jobs/{jobs.id_of(request)}.cut", {})
        name = jobs.start(request)
        assert jobs.wait(name, 20)["state"] == "done"
        assert not Path(jobs.home.path("jobs", f"{name}.cut")).exists()


def jobs_file(jobs: Jobs) -> Path:
    return Path(jobs.home.path("..", "file of the job"))


def test_killed_job_is_told_and_goes_on_when_asked_again(jobs: Jobs, tmp_path: Path) -> None:
    name = jobs.start(job(tmp_path / "f", lasts_s=30))
    os.killpg(running(jobs, name)["pid"], signal.SIGKILL)
    with pytest.raises(Refused) as caught:
        jobs.wait(name, 10)
    assert caught.value.why == "it was killed or the machine restarted"
    assert jobs.start(job(tmp_path / "f")) == name
    assert jobs.wait(name, 20)["state"] == "done"


def test_job_that_never_came_up_is_not_waited_for_for_ever(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploys.agent.jobs.START_S", 0.3)
    monkeypatch.setattr("sys.argv", ["/no/such/agent.pyz", "do"])
    name = jobs.start(job(Path("/x")))
    with pytest.raises(Refused, match="it was killed"):
        jobs.wait(name, 10)


def test_refusal_reaches_whoever_waits(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    name = jobs.start(job(tmp_path / "d"))
    for _ in range(2):
        with pytest.raises(Refused, match="a directory is there"):
            jobs.wait(name, 20)


def test_bug_in_the_work_is_one_sentence_too(jobs: Jobs) -> None:
    name = jobs.start(ensure({"kind": "file", "id": "/x", "job": True, "wait_s": 0}))
    with pytest.raises(Refused) as caught:
        jobs.wait(name, 20)
    assert caught.value.what == "work on file /x"
    assert "KeyError" in caught.value.why
    assert "Traceback" not in Path(jobs.home.path("jobs", f"{name}.log")).read_text()


def test_unknown_job(jobs: Jobs) -> None:
    with pytest.raises(Refused, match="knows none of that id"):
        jobs.wait("0" * 16, 0)


def test_request_is_private_and_gone_once_read(jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold a secret: 0600 from its birth, and no job, not even a killed one, leaves it behind."""
    seen: list[tuple[int, bool]] = []
    detach = Posix.detach

    def spy(self: Posix, arguments: list[str], log: str) -> int:
        request = Path(jobs.home.path("jobs", f"{arguments[-1]}.request.json"))
        seen.append((stat.S_IMODE(request.stat().st_mode), "sk-secret" in json.loads(request.read_text())["note"]))
        return detach(self, arguments, log)

    monkeypatch.setattr(Posix, "detach", spy)
    before = os.umask(0)
    name = jobs.start(job(tmp_path / "f", lasts_s=30, note="sk-secret"))
    os.umask(before)
    pid = running(jobs, name)["pid"]
    assert seen == [(0o600, True)]
    assert "sk-secret" not in Path(f"/proc/{pid}/cmdline").read_text()
    os.killpg(pid, signal.SIGKILL)
    for each in Path(jobs.home.folder("jobs")).iterdir():
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0
        assert "sk-secret" not in each.read_text()


def test_outlives_the_process_that_started_it(packed: Packed, tmp_path: Path) -> None:
    """The agent that started it has ended, its whole process group is shot, and the work is done all the same."""
    with packed.start("do", start_new_session=True) as starter:
        assert starter.stdin and starter.stdout
        request = job(tmp_path / "f", lasts_s=3, wait_s=0.5)
        starter.stdin.write(json.dumps(request).encode() + b"\n")
        starter.stdin.flush()
        answer = json.loads(starter.stdout.read())
        group = starter.pid
    with contextlib.suppress(ProcessLookupError):  # nothing of it is left, as it should be
        os.killpg(group, signal.SIGKILL)
    assert not (tmp_path / "f").exists()
    document, found, end = packed.home / "jobs" / f"{answer['job']}.json", State(), time.monotonic() + 10
    while "pid" not in found and time.monotonic() < end:
        found = json.loads(document.read_text())
    assert os.getsid(found["pid"]) == found["pid"] != group
    for fd in (0, 1, 2):
        assert "pipe" not in str(Path(f"/proc/{found['pid']}/fd/{fd}").readlink())
    waited = packed.ask("wait", {"job": answer["job"], "wait_s": 20, "run": RUN})
    assert waited["state"]["file"][str(tmp_path / "f")]["sha256"]


def test_progress_is_written_down_while_it_works(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The detached side, in this process: the first sample at once, then not more often than every half second."""
    home, name = jobs.home, "0" * 16
    home.write(f"jobs/{name}.request.json", {"kind": "model", "id": "x"})
    home.write(f"jobs/{name}.json", {"state": "starting", "wanted": "w"})
    monkeypatch.setattr("deploys.agent.jobs.WRITE_EVERY_S", 10)
    seen = []

    def work(request: State, progress: Any) -> State:
        for done in range(5):
            progress({"what": "pulling", "done": done, "total": 4})
            seen.append(home.read(f"jobs/{name}.json")["progress"]["done"])
        return {"model": {"x": None}}

    jobs.run(name, work)
    assert seen == [0, 0, 0, 0, 0]
    found = home.read(f"jobs/{name}.json")
    assert found["state"] == "done"
    assert found["progress"]["done"] == 4
    assert found["answer"] == {"model": {"x": None}}
    assert found["wanted"] == "w"
    assert found["pid"] == os.getpid()


@pytest.mark.parametrize("error", [Refused("pull", "no", "later"), RuntimeError("boom")])
def test_failure_is_written_down(error: Exception, jobs: Jobs) -> None:
    home, name = jobs.home, "1" * 16
    home.write(f"jobs/{name}.request.json", {"kind": "model", "id": "x"})
    home.write(f"jobs/{name}.json", {"state": "starting", "wanted": "w"})

    def work(request: State, progress: Any) -> State:
        raise error

    jobs.run(name, work)
    with pytest.raises(Refused):
        jobs.wait(name, 0)


def test_process_is_known_by_more_than_its_number(system: Posix, tmp_path: Path) -> None:
    pid = system.detach(
        [sys.executable, "-c", "import time; print('hi', flush=True); time.sleep(30)"], str(tmp_path / "log")
    )
    started = system.started(pid)
    assert system.is_alive(pid, started)
    assert not system.is_alive(pid, started + "0")  # another process with its number
    assert not system.is_alive(pid, "")
    assert os.getsid(pid) == pid
    system.stop(pid)
    end = time.monotonic() + 5
    while system.is_alive(pid, started) and time.monotonic() < end:
        time.sleep(0.01)
    assert not system.is_alive(pid, started)  # a zombie until its parent asks: dead all the same
    os.waitpid(pid, 0)
    assert system.started(pid) == ""
    system.stop(pid)  # gone already: fine
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


def test_stop_takes_the_whole_tree(system: Posix, tmp_path: Path) -> None:
    pid = system.detach(["sh", "-c", "sleep 60 & echo $!; wait"], str(tmp_path / "log"))
    end = time.monotonic() + 5
    while not (tmp_path / "log").read_text() and time.monotonic() < end:
        time.sleep(0.02)
    child = int((tmp_path / "log").read_text())
    started = system.started(child)
    assert started
    system.stop(pid)
    os.waitpid(pid, 0)
    while system.is_alive(child, started) and time.monotonic() < end:
        time.sleep(0.01)
    assert not system.is_alive(child, started)


# The detached side, of a job that fills its disk and then ends in one of these ways.
FILLS = """
import sys
sys.path.insert(0, sys.argv[1])
from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.jobs import Jobs
from deploys.agent.posix.system import Posix
home, job, how = sys.argv[2:]
jobs = Jobs(Posix(), Home(Posix(), home))

def fill():
    with open(home + "/filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            return

def work(request, progress):
    fill()
    if how == "tells how far":
        progress({"what": "unpacking"})
    if how == "must not be cut":
        progress({"what": "swapping", "uncut": True})
    if how in ("says why", "tells how far", "must not be cut"):
        raise Refused("unpack it", "the place is taken \\u00e4" + "x" * 9000, "look there")
    return {"file": {}}

if how == "before it began":
    fill()
jobs.run(job, work)
"""


class TestFullDisk:
    """How a job ended is told even when there is no room to write it down: nobody is told that it was killed."""

    @pytest.fixture
    def there(self, system: Posix, tiny_disk: Path) -> Jobs:
        return Jobs(system, Home(system, str(tiny_disk)))

    def ended(self, jobs: Jobs, how: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Refused]:
        """What the desk is told of a job that ended so; no word of it on stderr."""
        ends = []

        def detach(self: Posix, arguments: list[str], log: str) -> int:
            command = [sys.executable, "-c", FILLS, str(ROOT), jobs.home.directory, arguments[-1], how]
            ends.append(subprocess.run(command, capture_output=True, text=True, check=False).stderr)
            return 0

        monkeypatch.setattr(Posix, "detach", detach)
        name = jobs.start(job(Path("/x")))
        began = time.monotonic()
        with pytest.raises(Refused) as caught:
            jobs.wait(name, 20)
        assert time.monotonic() - began < 5
        assert ends == [""]
        return name, caught.value

    @pytest.mark.parametrize("how", ["before it began", "must not be cut", "does all of it"])
    def test_is_the_reason(self, how: str, there: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
        name, said = self.ended(there, how, monkeypatch)
        assert said.what == f"write {there.home.path('jobs', name)}.json"
        assert "No space left" in said.why
        assert said.fix == "free some disk space and converge again"

    @pytest.mark.parametrize("how", ["says why", "tells how far"])
    def test_hides_no_other_reason(self, how: str, there: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
        _, said = self.ended(there, how, monkeypatch)
        assert said.what == "unpack it"
        assert said.why.startswith("the place is taken ä")
        assert said.fix == "look there"

    def test_with_room_again_the_next_one_runs(self, there: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ended(there, "says why", monkeypatch)
        with pytest.raises(Refused, match="No space left"):
            there.start(job(Path("/x")))
        Path(there.home.path("filler")).unlink()
        monkeypatch.setattr(Posix, "detach", lambda self, arguments, log: there.run(arguments[-1], lambda *_: {}))
        name = there.start(job(Path("/x")))
        assert there.wait(name, 0)["state"] == "done"
        assert {each.suffix for each in Path(there.home.folder("jobs")).iterdir()} == {".json"}

    def test_one_that_was_killed_is_still_told_as_killed(self, there: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("deploys.agent.jobs.START_S", 0.0)
        monkeypatch.setattr(Posix, "detach", lambda *_: 0)
        with pytest.raises(Refused, match="it was killed"):
            there.wait(there.start(job(Path("/x"))), 0)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), Refused("start it", "no", "later")])
def test_job_that_cannot_be_started_leaves_nothing(
    error: Exception, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ghost that the next converge would wait for, and no request, which may hold a secret."""

    def detach(self: Posix, arguments: list[str], log: str) -> int:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(Posix, "detach", detach)
        with pytest.raises(type(error)):
            jobs.start(job(tmp_path / "f", note="sk-secret"))
    assert not list(Path(jobs.home.folder("jobs")).glob("*.json"))
    assert jobs.wait(jobs.start(job(tmp_path / "f")), 20)["state"] == "done"
