"""What locks us out of Windows does not last: a task of its own undoes it, over every end that a desk can have."""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Any

import pytest

from .benches import StandInBench, until
from .standin.machine import Machine
from .standin.registry import SZ
from .standin.use import tool
from .test_standin_verbs import RUN, Desk, State

CONFIG = r"C:\ProgramData\ssh\sshd_config"
GOOD, BAD = b"PasswordAuthentication no\r\n", b"AllowUsers nobody\r\n"
RULE = "SSH from the tailnet"
OPEN = {"action": "allow", "direction": "in", "protocol": "tcp", "ports": [22], "remote": ["100.64.0.0/10"]}
SHUT = {**OPEN, "action": "block", "remote": []}
OPENSSH = r"HKLM\SOFTWARE\OpenSSH"
SHELL = OPENSSH + r"\DefaultShell"
TASK = r"\llm-harness\undo"
LONG_S = 300


@pytest.fixture
def desk(machine: Machine, bench: StandInBench) -> Desk:
    return Desk(machine, bench.home + r"\agent-0.pyz")


def write(desk: Desk, content: bytes, within_s: float = LONG_S, change: str = "c1") -> State:
    return desk.do(
        "file",
        CONFIG,
        content=base64.b64encode(content).decode(),
        sha256=hashlib.sha256(content).hexdigest(),
        access="administrators",
        proven_by=["service", "sshd"],
        guarded={"within_s": within_s, "reload": "sshd"},
        change=change,
    )


def rule(desk: Desk, spec: dict[str, Any], within_s: float = LONG_S, verb: str = "ensure") -> State:
    return desk.do("firewall_rule", RULE, verb, spec=spec, guarded={"within_s": within_s}, change="c1")


def outcome(desk: Desk, change: str = "c1", keep: bool = False) -> str:
    return str(desk.ask("confirm", {"id": change, "keep": keep})["outcome"])


def kept(desk: Desk, answer: State, change: str = "c1") -> None:
    assert answer["unconfirmed"] > 0
    assert outcome(desk, change, keep=True) == "kept"


def pid(desk: Desk) -> str:
    """The process of sshd: another one has read its file anew."""
    return str(desk.look(("service", "sshd"))["state"]["service"]["sshd"].get("process", ""))


def watchers(machine: Machine) -> list[Any]:
    return [each for each in machine.processes.find("python.exe") if "watch" in each.arguments]


def clean(machine: Machine) -> bool:
    return not watchers(machine) and machine.scheduler.find(TASK) is None


def test_confirmed_it_stays(desk: Desk, machine: Machine) -> None:
    answer = write(desk, GOOD)
    assert answer["unconfirmed"] == LONG_S
    assert outcome(desk) == "waits"
    assert desk.look()["state"]["file"][CONFIG]["unconfirmed"]
    assert len(watchers(machine)) == 1
    assert outcome(desk, keep=True) == "kept"
    until(lambda: clean(machine))
    assert machine.drive.read(CONFIG) == GOOD
    assert "unconfirmed" not in desk.look()["state"]["file"][CONFIG]
    machine.reboot()
    assert machine.drive.read(CONFIG) == GOOD


def test_unconfirmed_it_is_undone(desk: Desk, machine: Machine) -> None:
    kept(desk, write(desk, GOOD))
    before = desk.look()["manifest"], machine.services.known["sshd"].pid
    write(desk, BAD, within_s=2, change="c2")
    assert machine.drive.read(CONFIG) == BAD
    changed = machine.services.known["sshd"].pid
    assert changed != before[1]
    until(lambda: outcome(desk, "c2") == "undone")
    assert machine.drive.read(CONFIG) == GOOD
    assert machine.services.known["sshd"].pid not in (before[1], changed)
    assert desk.look()["manifest"] == before[0]
    assert outcome(desk, "c2", keep=True) == "undone"
    until(lambda: clean(machine))


def test_a_file_that_was_not_there_goes_again(desk: Desk, machine: Machine) -> None:
    write(desk, BAD, within_s=2)
    until(lambda: outcome(desk) == "undone")
    assert not machine.drive.exists(CONFIG)
    assert desk.look()["manifest"] == []


def set_shell(desk: Desk, data: str | None, change: str, within_s: float = LONG_S, verb: str = "ensure") -> State:
    guard = {"within_s": within_s}
    return desk.do("registry_value", SHELL, verb, type="string", data=data, guarded=guard, change=change)


@pytest.mark.parametrize("before", [None, r"C:\Program Files\PowerShell\7\pwsh.exe"])
def test_a_value_that_governs_the_way_in(desk: Desk, machine: Machine, before: str | None) -> None:
    if before is not None:
        machine.registry.set(OPENSSH, "DefaultShell", SZ, before)
    kept(desk, set_shell(desk, r"C:\Windows\System32\cmd.exe", "c1"))
    noted = desk.look()["manifest"]
    assert "unconfirmed" not in set_shell(desk, r"C:\Windows\System32\cmd.exe", "same")
    for change, data, verb in (("c2", r"C:\no\such.exe", "ensure"), ("c3", None, "ensure"), ("c4", None, "remove")):
        set_shell(desk, data, change, within_s=2, verb=verb)
        assert shell(machine) == (before if verb == "remove" else data)
        until(lambda change=change: outcome(desk, change) == "undone")  # type: ignore[misc]
        assert shell(machine) == r"C:\Windows\System32\cmd.exe"
        assert desk.look()["manifest"] == noted
    kept(desk, set_shell(desk, None, "c5", verb="remove"), "c5")
    assert shell(machine) == before  # as it was before us, not before the last change


def shell(machine: Machine) -> Any:
    found = machine.registry.get(OPENSSH, "DefaultShell")
    return found and found[1]


def test_a_restart_undoes_it(desk: Desk, machine: Machine) -> None:
    """By the boot trigger: nobody can come in to call the agent."""
    kept(desk, write(desk, GOOD))
    write(desk, BAD, change="c2")
    machine.reboot()
    until(lambda: machine.drive.read(CONFIG) == GOOD)
    until(lambda: clean(machine))
    assert outcome(desk, "c2") == "undone"


def test_without_a_watcher_the_next_call_undoes(desk: Desk, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(desk, write(desk, GOOD))
    write(desk, BAD, within_s=30, change="c2")
    tool(machine, "schtasks", "/Delete", "/TN", TASK, "/F")
    for each in watchers(machine):
        machine.processes.end(each, 1)
    assert desk.look()["state"]["file"][CONFIG]["unconfirmed"], "for some seconds a watcher may be on its way"
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + 28)
    assert "unconfirmed" not in desk.look()["state"]["file"][CONFIG]
    assert machine.drive.read(CONFIG) == GOOD


def test_a_killed_watcher_is_started_again_by_its_task(desk: Desk, machine: Machine) -> None:
    write(desk, BAD)
    (first,) = watchers(machine)
    machine.processes.end(first, 1)
    task = machine.scheduler.find(TASK)
    assert task is not None
    triggers = desk_triggers(machine)
    assert ("TimeTrigger", "60 s") in triggers
    machine.scheduler.start(task)
    until(lambda: len(watchers(machine)) == 1)
    assert outcome(desk, keep=True) == "kept"
    until(lambda: clean(machine))


def desk_triggers(machine: Machine) -> list[tuple[str, str]]:
    """What starts the watcher, and how often."""
    task = machine.scheduler.find(TASK)
    assert task is not None
    found = next(each for each in task.node.children if each.tag == "Triggers").children
    intervals = [[inner for inner in each.walk() if inner.tag == "Interval"] for each in found]
    return [
        (each.tag, "60 s" if inside and inside[0].text in ("PT60S", "PT1M") else "")
        for each, inside in zip(found, intervals, strict=True)
    ]


def test_a_rule_comes_back_as_it_was(desk: Desk, machine: Machine) -> None:
    kept(desk, rule(desk, OPEN))
    before = sorted(machine.firewall.rules().values())
    rule(desk, SHUT, within_s=2)
    assert sorted(machine.firewall.rules().values()) != before
    until(lambda: outcome(desk) == "undone")
    assert sorted(machine.firewall.rules().values()) == before
    seen = desk.ask("look", {"asked": [["firewall_rule", RULE, OPEN]]})
    assert seen["state"]["firewall_rule"][RULE]["as_wanted"]


def test_a_new_rule_goes_again(desk: Desk, machine: Machine) -> None:
    before = machine.firewall.rules()
    rule(desk, SHUT, within_s=2)
    assert machine.firewall.rules() != before
    until(lambda: outcome(desk) == "undone")
    assert machine.firewall.rules() == before


def test_a_rule_of_windows_is_only_switched(desk: Desk, machine: Machine) -> None:
    """Written anew it would lose what only Windows writes."""
    inside = "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|LPort=22|"
    machine.firewall.put("OpenSSH-Server-In-TCP", inside + f"App=%SystemRoot%\\sshd.exe|Name={RULE}|Desc=its|")
    before = machine.firewall.rules()
    rule(desk, {"enabled": False}, within_s=2)
    assert machine.firewall.rules() != before
    until(lambda: outcome(desk) == "undone")
    assert machine.firewall.rules() == before


def test_removal_is_guarded_though_the_data_says_no_more(desk: Desk, machine: Machine) -> None:
    kept(desk, rule(desk, OPEN, within_s=2))
    before = machine.firewall.rules()
    answer = desk.do("firewall_rule", RULE, "remove", change="c2")
    assert answer["unconfirmed"] == 2
    assert machine.firewall.rules() != before
    until(lambda: outcome(desk, "c2") == "undone")
    assert len(machine.firewall.rules()) == len(before)
    assert desk.look()["manifest"] == [["firewall_rule", RULE]]


def test_a_newer_change_finds_the_old_state(desk: Desk, machine: Machine) -> None:
    """A desk died between change and confirmation; the next one converges again, at once."""
    kept(desk, write(desk, GOOD))
    write(desk, BAD, change="c2")
    better = b"PasswordAuthentication no\r\nX11Forwarding no\r\n"
    answer = write(desk, better, change="c3")
    assert outcome(desk, "c2") == "undone"
    kept(desk, answer, "c3")
    assert machine.drive.read(CONFIG) == better
    until(lambda: clean(machine))


def test_a_clock_that_jumps_changes_nothing(desk: Desk, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    write(desk, BAD)
    real = time.time
    for jump_s in (1e9, -1e9):
        monkeypatch.setattr(time, "time", lambda by=jump_s: real() + by)
        time.sleep(0.7)
        assert outcome(desk) == "waits"


def test_an_undoing_that_fails_is_tried_until_it_is_done(desk: Desk, machine: Machine) -> None:
    kept(desk, write(desk, GOOD))
    write(desk, BAD, within_s=2, change="c2")
    machine.drive.locked.add(machine.drive.key(CONFIG))
    time.sleep(5)
    assert outcome(desk, "c2", keep=True) == "waits", "too late to keep it, too early to say that it is undone"
    machine.drive.locked.discard(machine.drive.key(CONFIG))
    until(lambda: outcome(desk, "c2") == "undone", 30)
    assert machine.drive.read(CONFIG) == GOOD


def test_a_change_that_fails_is_undone_at_once(desk: Desk, machine: Machine) -> None:
    kept(desk, write(desk, GOOD))
    refused = rule(desk, {**OPEN, "protocol": "any"})
    assert "ports want the protocol tcp or udp; all is as it was before" in refused["error"]["why"]
    until(lambda: clean(machine))
    assert outcome(desk) == "undone"


def test_nothing_is_changed_that_nobody_watches(
    desk: Desk, machine: Machine, bench: StandInBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(desk, write(desk, GOOD))
    monkeypatch.setattr(machine.scheduler, "start", lambda task: None)
    system = bench.load("windows.system").Windows()
    undo = bench.load("kinds.undo")
    monkeypatch.setattr(undo, "START_S", 0.3)
    home = bench.load("home").Home(system, bench.home)
    kinds = bench.load("main").kinds(system, home)
    request = {"kind": "file", "id": CONFIG, "verb": "ensure", "change": "c2", "run": RUN}
    with pytest.raises(bench.load("errors").Refused, match="nothing that would undo it is there"):
        undo.Undo(system, home, kinds).change(request, {"within_s": 30}, lambda: pytest.fail("changed"))
    assert outcome(desk, "c2") == "unknown"
