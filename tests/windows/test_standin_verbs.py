"""The agent from end to end on the stand-in machine: its own `main`, one line in, one ASCII document out."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.agent.archives import zipped
from tests.unit.agent.ollama import FakeOllama, ToLoopback, manifest_of
from tests.unit.agent.shop import Shop

from .benches import StandInBench, until
from .standin import security
from .standin.machine import PYTHON, Machine
from .standin.processes import Process
from .standin.registry import DWORD, SZ
from .standin.tools import CBS

RUN = {"id": "run-1", "by": "anna", "desk": "g16", "when": "2026-11-22T10:00:00+00:00", "commit": "0123456789ab"}
UMLAUTS = "C:\\ProgramData\\litellm\\größe ✓.txt"

LXSS = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Lxss"

State = dict[str, Any]


@dataclass
class Desk:
    """Starts the agent as an SSH session does."""

    machine: Machine
    agent: str

    def start(self, verb: str, given: bytes = b"") -> Process:
        command = [PYTHON, "-I", "-X", "utf8", self.agent, verb]
        return self.machine.processes.start(command, self.machine.process(), given=given, has_input=True)

    def raw(self, verb: str, given: bytes) -> Process:
        process = self.start(verb, given)
        assert process.ended.wait(60)
        return process

    def ask(self, verb: str, request: State) -> State:
        """The answer: alone on stdout, ASCII, one line, whatever it says; nobody sees a traceback."""
        process = self.raw(verb, json.dumps(request).encode() + b"\n")
        assert not self.machine.processes.faults
        assert process.err == b""
        assert process.out.count(b"\n") == 1
        assert b"\r" not in process.out
        answer: State = json.loads(process.out.decode("ascii"))
        assert process.code == (1 if "error" in answer else 0)
        return answer

    def do(self, kind: str, name: str, verb: str = "ensure", **request: Any) -> State:
        return self.ask("do", {"kind": kind, "id": name, "verb": verb, "run": RUN, **request})

    def made(self, kind: str, name: str, **request: Any) -> Any:
        answer = self.do(kind, name, **request)
        assert "error" not in answer, answer
        return answer["state"][kind][name]

    def look(self, *asked: tuple[str, str], programs: tuple[str, ...] = ()) -> State:
        return self.ask("look", {"asked": [[*each, {}] for each in asked], "programs": list(programs)})


@pytest.fixture
def desk(machine: Machine, bench: StandInBench) -> Desk:
    return Desk(machine, bench.home + r"\agent-0.pyz")


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.stop()


def file_request(content: bytes, access: str = "administrators") -> State:
    return {
        "content": base64.b64encode(content).decode(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "access": access,
    }


def test_look_at_a_machine_where_nothing_is_ours(desk: Desk) -> None:
    seen = desk.look(("file", r"C:\no\such"), ("directory", r"C:\Windows"), programs=("certutil", "no-such"))
    assert seen["manifest"] == []
    assert seen["provenance"] is None
    assert seen["machine"]["os"] == "windows"
    assert seen["machine"]["programs"] == {"certutil": True, "no-such": False}
    assert seen["state"]["file"] == {r"C:\no\such": None}
    assert seen["state"]["directory"][r"C:\Windows"] is not None


def test_files_and_directories(desk: Desk, machine: Machine) -> None:
    folder = UMLAUTS.rpartition("\\")[0]
    assert desk.made("directory", folder, access="everyone") == {"access": "everyone"}
    made = desk.made("file", UMLAUTS, **file_request(b"LANE=groq\n", "everyone"))
    assert made == {"sha256": hashlib.sha256(b"LANE=groq\n").hexdigest(), "access": "everyone"}
    assert machine.drive.read(UMLAUTS) == b"LANE=groq\n"
    assert desk.ask("read", {"id": UMLAUTS}) == {"text": "LANE=groq\n"}
    seen = desk.look()
    assert seen["state"]["file"] == {UMLAUTS: made}
    assert seen["state"]["directory"] == {folder: {"access": "everyone"}}
    assert seen["provenance"]["desk"] == "g16"
    desk.do("file", UMLAUTS, "remove")
    desk.do("directory", folder, "remove")
    assert not machine.drive.exists(folder)
    assert desk.look()["manifest"] == []


def test_a_refusal_is_a_document(desk: Desk, machine: Machine) -> None:
    machine.drive.make(r"C:\taken")
    refused = desk.do("file", r"C:\taken", **file_request(b"x"))
    assert refused["error"]["why"] == "a directory is there"
    assert all(refused["error"].values())


def test_a_request_cut_off_is_a_document(desk: Desk) -> None:
    process = desk.raw("look", b'{"asked": [["file", "C')
    assert json.loads(process.out)["error"]["why"] == "it did not arrive whole"
    assert process.code == 1


def test_the_end_of_the_request_is_never_waited_for(desk: Desk, machine: Machine) -> None:
    """Windows' sshd does not always deliver it."""
    process = desk.start("look")
    process.input().end()
    assert process.ended.wait(20)
    assert json.loads(process.out)["machine"]["os"] == "windows"


def test_a_file_in_use_is_waited_for(desk: Desk, machine: Machine) -> None:
    path = r"C:\litellm\config.yaml"
    desk.made("file", path, **file_request(b"old"))
    key = machine.drive.key(path)
    machine.drive.locked.add(key)
    threading.Timer(0.4, machine.drive.locked.discard, [key]).start()
    desk.made("file", path, **file_request(b"new"))
    assert machine.drive.read(path) == b"new"
    assert [each for each in machine.drive.real(r"C:\litellm").iterdir() if each.name.startswith(".new")] == []


def test_a_service(desk: Desk, bench: StandInBench, machine: Machine) -> None:
    spec = {
        "description": "the engine",
        "account": "own",
        "state": r"C:\ProgramData\Ollama",
        "environment": {"HOME": r"C:\ProgramData\Ollama"},
        "command": bench.command("forever"),
    }
    made = desk.made("service", "ollama", spec=spec, inputs={}, answers=None, within_s=5)
    assert made["spec"] == spec
    assert made["intact"]
    until(lambda: desk.look()["state"]["service"]["ollama"]["running"])
    machine.reboot()
    until(lambda: desk.look()["state"]["service"]["ollama"]["running"])
    desk.do("service", "ollama", "remove")
    assert not machine.processes.find("forever.exe")
    assert not machine.scheduler.tasks


def test_a_release_as_a_job(desk: Desk, shop: Shop, machine: Machine) -> None:
    shop.goods["o.zip"] = archive = zipped({"ollama.exe": b"MZ" * 5000, "lib/größe.txt": b"x"})
    place = r"C:\Program Files\Ollama"
    request = {"version": "1.0", "url": shop.url("o.zip"), "sha256": hashlib.sha256(archive).hexdigest()}
    made = desk.made("release", place, **request, job=True, wait_s=30)
    assert made == {"versions": {"1.0": {"sha256": request["sha256"], "intact": True}}}
    assert machine.drive.read(place + r"\1.0\ollama.exe") == b"MZ" * 5000
    machine.drive.write(place + r"\1.0\ollama.exe", b"MZ other")
    assert desk.look()["state"]["release"][place]["versions"]["1.0"]["intact"] is False
    assert desk.made("release", place, **request)["versions"]["1.0"]["intact"] is True


@pytest.mark.parametrize("name", ["..\\out.txt", "C:out.txt", "a:stream", "\\out.txt"])
def test_an_archive_that_leads_outside_is_refused(desk: Desk, shop: Shop, machine: Machine, name: str) -> None:
    shop.goods["o.zip"] = archive = zipped({name: b"x"})
    request = {"version": "1.0", "url": shop.url("o.zip"), "sha256": hashlib.sha256(archive).hexdigest()}
    refused = desk.do("release", r"C:\Program Files\X", **request)
    assert "leads outside" in refused["error"]["why"]
    assert desk.look()["state"]["release"][r"C:\Program Files\X"] == {"versions": {}}


def test_a_model(desk: Desk, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    ollama = FakeOllama()
    monkeypatch.setattr(urllib.request, "_opener", urllib.request.build_opener(ToLoopback(ollama.port)))
    digest = ollama.pushed("gemma3:4b", manifest_of("four"))
    spec = {"api": ollama.url, "store": r"C:\ProgramData\Ollama\models"}
    request = {"spec": spec, "digest": digest, "load": True, "context": 4096, "job": True, "wait_s": 30}
    made = desk.made("model", "gemma3:4b", **request)
    assert made["digest"] == digest
    assert made["loaded"] == 4096
    desk.do("model", "gemma3:4b", "remove")
    assert "gemma3:4b" not in ollama.held
    ollama.stop()


class Slow(Shop):
    """Holds an archive back until it is told to go on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.go = threading.Event()

    def hold(self, archive: bytes) -> State:
        self.goods["o.zip"] = archive
        server, finish = self.server, self.server.finish_request

        def slowly(request: Any, address: Any) -> None:
            self.go.wait(30)
            finish(request, address)

        server.finish_request = slowly  # type: ignore[method-assign,assignment]
        return {"version": "1.0", "url": self.url("o.zip"), "sha256": hashlib.sha256(archive).hexdigest()}


@pytest.fixture
def slow() -> Iterator[Slow]:
    made = Slow()
    yield made
    made.go.set()
    made.stop()


def test_a_job_outlives_its_session_and_is_found_again(desk: Desk, slow: Slow, machine: Machine) -> None:
    """It is the Task Scheduler's child, as SYSTEM; what the session started is gone with the session."""
    request = {**slow.hold(zipped({"a.exe": b"MZ"})), "job": True, "wait_s": 0}
    place = r"C:\Program Files\X"
    first = desk.do("release", place, **request)
    assert "job" in first
    path = rf"C:\ProgramData\ssh\llm-harness\jobs\{first['job']}.json"
    until(lambda: json.loads(machine.drive.read(path)).get("pid"))
    running = machine.processes.all[json.loads(machine.drive.read(path))["pid"]]
    assert security.SYSTEM in running.sids
    assert not machine.scheduler.tasks
    again = desk.do("release", place, **request)
    assert again["job"] == first["job"]
    assert json.loads(machine.drive.read(path))["pid"] == running.pid
    slow.go.set()
    done = desk.ask("wait", {"job": first["job"], "wait_s": 30, "run": RUN})
    assert done["state"]["release"][place]["versions"]["1.0"]["intact"]
    assert len(slow.asked) == 1


def test_a_killed_job_is_said_and_done_again(desk: Desk, slow: Slow, machine: Machine) -> None:
    request = {**slow.hold(zipped({"a.exe": b"MZ"})), "job": True, "wait_s": 0}
    place = r"C:\Program Files\X"
    job = desk.do("release", place, **request)["job"]
    path = rf"C:\ProgramData\ssh\llm-harness\jobs\{job}.json"
    until(lambda: json.loads(machine.drive.read(path)).get("pid"))
    machine.processes.end(machine.processes.all[json.loads(machine.drive.read(path))["pid"]], 1)
    lost = desk.ask("wait", {"job": job, "wait_s": 5, "run": RUN})
    assert lost["error"]["why"] == "it was killed or the machine restarted"
    slow.go.set()
    assert desk.made("release", place, **{**request, "wait_s": 30})["versions"]["1.0"]["intact"]


def test_what_only_windows_has_is_known(desk: Desk) -> None:
    assert desk.made("variable", "machine/OLLAMA_HOST", value="127.0.0.1:11434") is not None
    assert desk.look()["manifest"] == [["variable", "machine/OLLAMA_HOST"]]


def test_two_desks_at_once(desk: Desk) -> None:
    desk.made("variable", "machine/A", value="1")
    other = {**RUN, "id": "run-2", "desk": "elsewhere"}
    refused = desk.ask("do", {"kind": "variable", "id": "machine/A", "verb": "remove", "run": other})
    assert "is converging it since" in refused["error"]["why"]


def test_a_restart_in_between(desk: Desk, machine: Machine) -> None:
    desk.made("variable", "machine/A", value="1")
    machine.reboot()
    assert desk.look()["state"]["variable"]["machine/A"] is not None


def test_what_only_windows_has_to_tell(desk: Desk, machine: Machine) -> None:
    machine_now = desk.look()["machine"]
    assert machine_now["default_shell"] is None
    assert machine_now["restart_wanted_by"] == []
    assert machine_now["wsl"] is None
    machine.registry.set(r"HKLM\SOFTWARE\OpenSSH", "DefaultShell", SZ, r"C:\x\pwsh.exe")
    machine.registry.set(f"{CBS}\\RebootPending", "", SZ, "")
    machine.registry.set(f"{LXSS}\\{{1}}", "DistributionName", SZ, "Ubuntu")
    machine.registry.set(f"{LXSS}\\{{1}}", "Version", DWORD, 1)
    machine_now = desk.look()["machine"]
    assert machine_now["default_shell"] == r"C:\x\pwsh.exe"
    assert machine_now["restart_wanted_by"] == ["a feature or an update"]
    assert machine_now["wsl"] == {"default_version": 2, "distributions": {"Ubuntu": 1}}


def test_programs_are_found_where_their_installers_put_them(desk: Desk, machine: Machine) -> None:
    """A session's PATH may be older than what was installed."""
    said = {"BackendState": "Running", "Version": "1.102.4", "Self": {"TailscaleIPs": ["fd7a::1", "100.64.0.7"]}}

    def tailscale(process: Process) -> int:
        process.say(json.dumps(said))
        return 0

    machine.processes.install(r"C:\Program Files\Tailscale\tailscale.exe", tailscale)
    seen = desk.look(programs=("tailscale", "nvidia-smi", "no-such"))["machine"]
    assert seen["programs"] == {"tailscale": True, "nvidia-smi": True, "no-such": False}
    assert seen["tailnet"]["address"] == "100.64.0.7"
    assert seen["gpus"] == [{"name": "NVIDIA GeForce RTX 3090", "vram_gb": 24.0}]
