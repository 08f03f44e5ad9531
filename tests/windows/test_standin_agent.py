"""The agent's Windows half where only a stand-in can be made to fail."""

from __future__ import annotations

import base64
import hashlib
import json
import types
from typing import Any

import pytest

from .benches import StandInBench, until
from .recorded import QUERYEX_IN_SPANISH
from .standin import security
from .standin.machine import USER_SID, Machine
from .standin.processes import Process
from .standin.use import row, tool

SERVICE = "ollama"


@pytest.fixture
def system(bench: StandInBench) -> Any:
    return bench.load("windows.system").Windows()


@pytest.fixture
def spec(bench: StandInBench) -> dict[str, Any]:
    return {
        "name": SERVICE,
        "description": "the engine",
        "account": "own",
        "state": r"C:\ProgramData\Ollama",
        "environment": {"COLOUR": "blue"},
        "command": bench.command("environment"),
    }


def look(system: Any, name: str = SERVICE) -> Any:
    return system.services([{"name": name, "command": ["x"]}])[name]


def test_a_service_without_rights_runs_as_local_service(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine
) -> None:
    """It could read what it needs and write its log, or nothing of this would come about."""
    seen: list[frozenset[str]] = []

    def program(process: Process) -> int:
        seen.append(process.sids)
        process.say("here")
        return process.live()

    machine.processes.install(r"C:\work\environment.exe", program)
    system.define_service(spec)
    system.start_service(SERVICE)
    until(lambda: "here" in system.log_tail(SERVICE, 1))
    assert security.LOCAL_SERVICE in seen[0]
    assert security.ADMINISTRATORS not in seen[0]
    folder = machine.drive.descriptor(rf"{bench.home}\services\{SERVICE}")
    assert not security.allows(folder, seen[0], security.ADD_FILE)
    home = machine.drive.descriptor(bench.home)
    assert not security.allows(home, seen[0], security.READ)


def test_who_is_of_a_service_and_who_only_has_its_place(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine
) -> None:
    machine.processes.install(r"C:\work\environment.exe", Process.live)
    system.define_service(spec)
    system.start_service(SERVICE)
    until(lambda: look(system)["running"])
    (own,) = (each.pid for each in machine.processes.find("environment.exe") if each.alive)
    other = bench.start("forever")
    assert [system.runs(SERVICE, process) for process in (own, other)] == [True, False]
    machine.tools.sockets.append(("TCP", "127.0.0.1", 11434, "LISTENING", other))
    kind = bench.load("kinds.services").Services(system, bench.load("home").Home(system, bench.home))
    bench.load("kinds.services").LEAVING_S = 0.1
    request = {"id": SERVICE, "spec": {**spec, "command": ["x"]}, "inputs": {}, "within_s": 1}
    with pytest.raises(bench.load("errors").Refused, match=r"forever.exe \(process \d+\), which is none of its own"):
        kind.ensure({**request, "answers": "http://127.0.0.1:11434/api/version"}, lambda _: None)
    assert look(system)["running"], "what runs goes on"


def test_a_program_finds_its_home(bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine) -> None:
    homes: list[str] = []

    def program(process: Process) -> int:
        homes.append(process.environment["USERPROFILE"])
        return process.live()

    machine.processes.install(r"C:\work\environment.exe", program)
    system.define_service({**spec, "environment": {"HOME": r"C:\ProgramData\Ollama"}})
    system.start_service(SERVICE)
    until(lambda: homes)
    assert homes == [r"C:\ProgramData\Ollama"]
    assert look(system)["spec"]["environment"] == {"HOME": r"C:\ProgramData\Ollama"}


def test_a_service_comes_back_with_the_machine(system: Any, spec: dict[str, Any], machine: Machine) -> None:
    system.define_service(spec)
    machine.reboot()
    until(lambda: look(system)["running"])
    machine.scheduler.pass_time(100 * 3600)
    machine.scheduler.on_battery()
    assert look(system)["running"]


def test_a_program_that_ends_its_parent_only_is_no_orphan(system: Any, spec: dict[str, Any], machine: Machine) -> None:
    """Whoever ends the holder ends the whole tree: `/End` alone would leave the children."""
    machine.processes.install(r"C:\work\environment.exe", StandInBench._parent)
    system.define_service(spec)
    system.start_service(SERVICE)
    until(lambda: machine.processes.find("child.exe"))
    tool(machine, "taskkill", "/F", "/PID", look(system)["process"].split(",")[0])
    until(lambda: not machine.processes.find("child.exe") and not machine.processes.find("environment.exe"))
    assert not look(system)["running"]


def test_who_outlives_a_program_that_falls_over_goes_before_the_next(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the program's pipe, which so has no end, and 20 GB of the card."""
    monkeypatch.setattr(bench.load("windows.bootservices"), "PAUSE_S", 0.1)
    at_once: list[int] = []

    def falls_over(process: Process) -> int:
        at_once.append(len(machine.processes.find("child.exe")))
        process.start(r"C:\work\child.exe")
        process.say("up\r\n")
        return 3

    machine.processes.install(r"C:\work\environment.exe", falls_over)
    system.define_service(spec)
    system.start_service(SERVICE)
    until(lambda: system.restarts_of(SERVICE) >= 2)
    until(lambda: len(at_once) >= 3)
    assert set(at_once) == {0}
    assert system.log_tail(SERVICE, 50).count("environment.exe ended with 3") >= 2


def test_a_second_holder_does_nothing(bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine) -> None:
    """Deleted and made anew, the task has lost track of what runs; the job has not."""
    system.define_service(spec)
    system.start_service(SERVICE)
    until(lambda: look(system)["running"])
    tool(machine, "schtasks", "/Delete", "/TN", r"\llm-harness\ollama", "/F")
    system.define_service(spec)
    tool(machine, "schtasks", "/Run", "/TN", r"\llm-harness\ollama")
    until(lambda: row(machine, r"\llm-harness\ollama")[6] == "183")
    assert len(machine.processes.find("environment.exe")) == 1


def test_a_new_agent_leaves_a_running_service_alone(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine
) -> None:
    system.define_service(spec)
    system.start_service(SERVICE)
    until(lambda: look(system)["running"])
    before = look(system)["process"]
    bench.write(bench.home + r"\agent-0.pyz", b"PK newer")
    assert look(system)["intact"]
    system.define_service(spec)
    assert look(system)["intact"]
    system.start_service(SERVICE)
    until(lambda: look(system)["running"])
    assert look(system)["process"] != before


def test_a_scheduler_that_says_yes_and_does_nothing(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = bench.load("errors").Refused
    monkeypatch.setattr(bench.load("windows.bootservices"), "START_S", 0.1)
    monkeypatch.setattr(bench.load("windows.system"), "START_S", 0.1)
    system.define_service(spec)
    del machine.processes.programs[machine.drive.key(bench.load("windows.system").sys.executable)]
    with pytest.raises(refused, match="last result 0x80070002"):
        system.start_service(SERVICE)
    with pytest.raises(refused, match="last result 0x80070002"):
        system.detach(bench.command("forever"), r"C:\work\log")


def test_processes_that_do_not_end(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.load("windows.bootservices"), "START_S", 0.1)
    system.define_service(spec)
    system.start_service(SERVICE)
    monkeypatch.setattr(bench.load("windows.win32"), "end_job", lambda name: None)
    with pytest.raises(bench.load("errors").Refused, match="do not end"):
        system.start_service(SERVICE)


def test_what_the_scheduler_refuses_is_told(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine
) -> None:
    schedule, refused = bench.load("windows.schedule"), bench.load("errors").Refused
    machine.elevated = False
    with pytest.raises(refused, match=r"denied|verweigert"):
        schedule.register("x", {"account": "system", "actions": [["a.exe"]]}, bench.home)
    with pytest.raises(refused, match="start task none"):
        schedule.run("none")
    with pytest.raises(refused, match="look at task none"):
        schedule.last_result("none")
    schedule.delete("none")
    machine.processes.install(r"C:\Windows\System32\schtasks.exe", lambda process: 1)
    for verb in (schedule.definition, schedule.delete):
        with pytest.raises(refused, match="gave no reason"):
            verb("none")


def test_a_definition_that_windows_changes_is_noticed(bench: StandInBench, machine: Machine) -> None:
    schedule = bench.load("windows.schedule")
    real = machine.processes.programs[r"c:\windows\system32\schtasks.exe"]

    def lossy(process: Process) -> int:
        code = real(process)
        process.out[:] = process.out.replace(b"<Priority>5</Priority>", b"")
        return code

    machine.processes.install(r"C:\Windows\System32\schtasks.exe", lossy)
    with pytest.raises(bench.load("errors").Refused, match="another definition"):
        schedule.register("x", {"account": "system", "actions": [["a.exe"]]}, bench.home)


@pytest.mark.parametrize("owner", [None, USER_SID])
def test_both_owners_of_new_files(bench: StandInBench, system: Any, machine: Machine, owner: str | None) -> None:
    machine.drive.owner_is_user = owner
    system.make_private(r"C:\fresh")
    assert system.access_of(r"C:\fresh") == "administrators"
    assert machine.drive.descriptor(r"C:\fresh").owner == security.ADMINISTRATORS


def test_access_that_windows_keeps_otherwise(bench: StandInBench, system: Any, machine: Machine) -> None:
    bench.write(r"C:\work\file", b"")
    real = machine.drive.set_descriptor

    def lossy(path: str, sddl: str, sids: frozenset[str], restore: bool) -> None:
        real(path, sddl.replace("(A;;0x120089;;;S-1-5-32-545)", ""), sids, restore)

    machine.drive.set_descriptor = lossy  # type: ignore[method-assign]
    with pytest.raises(bench.load("errors").Refused, match="Windows keeps"):
        system.grant(r"C:\work\file", "everyone")


def test_no_access_list_at_all_is_said(bench: StandInBench, system: Any, machine: Machine) -> None:
    bench.write(r"C:\work\file", b"")
    machine.drive.sddl = lambda path: "O:BAD:NO_ACCESS_CONTROL"  # type: ignore[method-assign]
    assert system.access_of(r"C:\work\file") == "O:BAD:NO_ACCESS_CONTROL"


def test_a_number_used_again_is_not_killed(system: Any, machine: Machine) -> None:
    """The parent's number went to somebody else, whose children are none of ours."""
    parent = machine.processes.start([r"C:\work\parent.exe"], machine.process())
    until(lambda: machine.processes.find("child.exe"))
    (orphan,) = machine.processes.find("child.exe")
    machine.processes.end(parent, 0)
    machine.processes.reuse.append(parent.pid)
    other = machine.processes.start([r"C:\work\forever.exe"], machine.process())
    assert other.pid == parent.pid
    system.stop(other.pid)
    assert not other.alive
    assert orphan.alive


def test_a_process_that_may_not_be_ended(bench: StandInBench, system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told in Windows' own words, once it cannot be one that is ending anyway."""
    pid = bench.start("forever")

    def refuse(_: int) -> None:
        raise OSError(5, "denied")

    monkeypatch.setattr(bench.load("windows.win32"), "terminate", refuse)
    monkeypatch.setattr(bench.load("windows.system"), "STOP_S", 0.2)
    with pytest.raises(bench.load("errors").Refused) as refused:
        system.stop(pid)
    assert refused.value.to_json() == {
        "what": f"end process {pid}",
        "why": "Windows says: denied",
        "fix": "end it by hand there, or restart that machine",
    }


def test_a_process_that_takes_its_time_to_end(bench: StandInBench, system: Any, machine: Machine) -> None:
    """A second order to end is refused meanwhile, as if it might not be ended."""
    pid = bench.start("parent")
    until(lambda: machine.processes.find("child.exe"))
    machine.processes.dies_within_s = 0.3
    system.stop(pid)
    assert not machine.processes.find("child.exe")
    assert not machine.processes.find("parent.exe")


def test_a_process_that_does_not_end(
    bench: StandInBench, system: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.load("windows.win32"), "terminate", lambda pid: None)
    monkeypatch.setattr(bench.load("windows.system"), "STOP_S", 0.2)
    with pytest.raises(bench.load("errors").Refused, match="it still runs after"):
        system.stop(bench.start("forever"))


def test_windows_own_service_is_restarted(bench: StandInBench, system: Any, machine: Machine) -> None:
    found = system.services([{"name": "sshd"}])["sshd"]
    assert (found["running"], found["enabled"]) == (True, True)
    system.reload_service("sshd")
    again = system.services([{"name": "sshd"}])["sshd"]
    assert again["running"]
    assert again["process"] != found["process"]
    assert not machine.scheduler.tasks


def test_a_service_of_windows_in_a_language_that_translates_labels(
    bench: StandInBench, system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = QUERYEX_IN_SPANISH.replace("\n", "\r\n").encode("cp850")
    monkeypatch.setattr(bench.load("windows.win32"), "run", lambda *_: (0, said, b""))
    found = system.services([{"name": "sshd"}])["sshd"]
    assert (found["running"], found["process"]) == (True, "3204")


def test_windows_own_service_that_does_not_come_back(
    bench: StandInBench, system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.load("windows.native"), "WITHIN_S", 0.1)
    with pytest.raises(bench.load("errors").Refused, match="not so after"):
        system.start_service("no-such-service")


def test_replacing_in_spite_of_antivirus(bench: StandInBench, system: Any, machine: Machine) -> None:
    machine.drive.unreliable = 0.3
    for number in range(30):
        bench.write(r"C:\work\new", str(number).encode())
        system.replace(r"C:\work\new", r"C:\work\file")
    assert bench.read(r"C:\work\file") == b"29"


def test_a_log_that_is_long_steps_aside(
    bench: StandInBench, system: Any, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = bench.load("windows.holder")
    monkeypatch.setattr(holder, "LOG_BYTES", 10)
    log = holder._Log(r"C:\work\log")
    for each in (b"0123456789ab\n", b"next\n"):
        log.write(each)
    assert bench.read(r"C:\work\log.old") == b"0123456789ab\n"
    with bench.open(r"C:\work\log") as file:
        assert holder.tail(file, 5) == "next"
    holder._Log(r"C:\no\such\folder\log").write(b"lost, and nobody falls over")


def file_request(path: str, content: bytes, access: str = "administrators") -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    return {"id": path, "content": encoded, "sha256": hashlib.sha256(content).hexdigest(), "access": access}


def test_a_file_by_the_shared_kind(bench: StandInBench, system: Any, machine: Machine) -> None:
    """`files.py` over this half: access first, atomic, kept, put back."""
    home = bench.load("home").Home(system, bench.home)
    files = bench.load("kinds.files").Files(system, home)
    path = r"C:\litellm\.env"
    machine.drive.make(r"C:\litellm")
    seen: list[str] = []
    real = machine.drive.move

    def watching(source: str, target: str, sids: frozenset[str], replacing: bool) -> None:
        if target == path:
            seen.append(system.access_of(source))
        real(source, target, sids, replacing)

    machine.drive.move = watching  # type: ignore[method-assign]
    for content in (b"KEY=one\n", b"KEY=two\n"):
        files.ensure(file_request(path, content), lambda state: None)
        assert bench.read(path) == content
    assert seen == ["administrators", "administrators"]
    assert files.look({path: {}})[path] == {
        "sha256": hashlib.sha256(b"KEY=two\n").hexdigest(),
        "access": "administrators",
    }
    assert files.put_back(path)
    assert bench.read(path) == b"KEY=one\n"


def test_a_secret_is_never_readable_by_others(bench: StandInBench, system: Any, machine: Machine) -> None:
    """Not even while it is written: its folder is private before the first byte of it comes."""
    home = bench.load("home").Home(system, bench.home)
    kinds = bench.load("kinds.files")
    directories, files = kinds.Directories(system, home), kinds.Files(system, home)
    directories.ensure({"id": r"C:\litellm", "access": "administrators"}, lambda state: None)
    born: list[bool] = []
    real = machine.drive.born

    def watching(path: str, owner: str = "", closed: str = "") -> None:
        real(path, owner, closed)
        born.append(security.allows(machine.drive.descriptor(path), machine.token(USER_SID) - {"S-1-5-32-544"}, 1))

    machine.drive.born = watching  # type: ignore[method-assign]
    files.ensure(file_request(r"C:\litellm\.env", b"KEY=value\n"), lambda state: None)
    assert born
    assert not any(born)


def test_a_disk_that_fills_up_leaves_nothing_half_written(
    bench: StandInBench, system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    fresh = bench.load("fresh")
    monkeypatch.setattr(fresh.os, "fsync", full)
    before = fresh.os.listdir(bench.home)
    with pytest.raises(OSError):
        fresh.write_new(bench.home, b"x")
    assert fresh.os.listdir(bench.home) == before


def test_the_whole_agent_on_windows(
    bench: StandInBench, system: Any, spec: dict[str, Any], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes through the verbs, one look that tells all of them, and nothing that a second look sees differently."""
    monkeypatch.setattr(bench.load("machine"), "tailnet", types.SimpleNamespace(look=lambda: None))
    monkeypatch.setattr(
        bench.load("machine"), "platform", types.SimpleNamespace(python_version=lambda: "3.12.10"), False
    )
    agent = bench.load("main").Agent(system, bench.load("home").Home(system, bench.home))
    for name, kind in bench.load("windows.kinds").kinds().items():
        agent.kinds.setdefault(name, kind(system, agent.home))
    run = {"id": "1", "by": "anna", "desk": "g16", "when": "now", "commit": "abc"}

    def do(kind: str, name: str, **request: Any) -> Any:
        answer = agent.do({"kind": kind, "id": name, "verb": "ensure", "run": run, **request})
        return json.loads(json.dumps(answer))["state"][kind][name]

    machine.drive.make(r"C:\litellm")
    do("directory", r"C:\litellm", access="administrators")
    do("file", r"C:\litellm\.env", **file_request(r"C:\litellm\.env", b"KEY=1\n"))
    own = {key: value for key, value in spec.items() if key != "name"}
    do("service", SERVICE, spec=own, inputs={}, answers=None, within_s=1)
    until(lambda: look(system)["running"])
    do("variable", "machine/OLLAMA_HOST", value="127.0.0.1:11434")
    do("path_entry", r"machine/C:\Program Files\Ollama")
    do("firewall_rule", "gateway", spec={"action": "allow", "direction": "in", "protocol": "tcp", "ports": [4000]})
    do("power", "sleep", plugged_s=0, battery_s=900)
    first, second = agent.look({}), agent.look({})
    assert json.loads(json.dumps(first)) == json.loads(json.dumps(second))
    assert first["machine"]["os"] == "windows"
    assert first["machine"]["gpus"] == [{"name": "NVIDIA GeForce RTX 3090", "vram_gb": 24.0}]
    assert [kind for kind, _ in first["manifest"]] == [
        "directory",
        "file",
        "service",
        "variable",
        "path_entry",
        "firewall_rule",
        "power",
    ]
    assert first["state"]["service"][SERVICE]["running"]
    assert first["state"]["firewall_rule"]["gateway"]["as_wanted"]
    for kind, name in reversed(first["manifest"]):
        agent.do({"kind": kind, "id": name, "verb": "remove", "run": run})
    assert agent.look({})["manifest"] == []
    assert not machine.scheduler.tasks
    assert not machine.drive.exists(r"C:\litellm")


def test_the_machine_s_own_administrator_is_letters_to_windows(
    bench: StandInBench, system: Any, machine: Machine
) -> None:
    """It says LA for number 500 of the machine, and LG for the guest: whose SID that is, is asked."""
    path = bench.home + r"\file"
    bench.write(path, b"")
    system.grant(path, "only Administrator")
    assert ";;;LA)" in machine.drive.sddl(path)
    assert system.access_of(path) == "only Administrator"
    machine.drive.descriptors[machine.drive.key(path)] = security.parse("O:LAD:P(A;;FA;;;BA)(A;;FR;;;LG)")
    number = security.ALIASES["LA"]
    assert bench.load("windows.ownership").look_over(path, number, top=False, mend=False)["owner"] == ""
    assert system.access_of(path) == f"O:{number}D:P(A;;0x120089;;;LG)(A;;0x1f01ff;;;S-1-5-32-544)", "no guest is there"


def test_a_user_who_is_called_as_the_machine_is(bench: StandInBench, system: Any, machine: Machine) -> None:
    """Windows finds the machine first, which is nobody who can be given a file."""
    machine.accounts[f"{security.MACHINE}-1003"] = ("APEX", "Apex")
    bench.write(r"C:\work\file", b"")
    system.grant(r"C:\work\file", "only Apex")
    assert system.access_of(r"C:\work\file") == "only Apex"
    assert f"{security.MACHINE}-1003" in {ace.sid for ace in machine.drive.descriptor(r"C:\work\file").aces}


def test_one_resource_that_cannot_be_looked_at_ends_no_look(
    bench: StandInBench, system: Any, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = bench.load("main").Agent(system, bench.load("home").Home(system, bench.home))
    machine.registry.set(r"HKLM\SOFTWARE\Ours", "Name", 1, "text")
    win32 = bench.load("windows.win32")
    real = win32.values

    def values(key: str) -> Any:
        if key.endswith("Theirs"):
            raise PermissionError(13, "Access is denied")
        return real(key)

    monkeypatch.setattr(win32, "values", values)
    names = [r"HKLM\SOFTWARE\Ours\Name", r"HKLM\SOFTWARE\Theirs\Name"]
    found = agent.look({"asked": [["registry_value", name, {}] for name in names]})["state"]["registry_value"]
    assert found[names[0]] == {"type": "string", "data": "text"}
    assert found[names[1]]["unknown"]["why"] == "Access is denied"
    assert found[names[1]]["unknown"]["what"] == rf"look at {names[1]}"
