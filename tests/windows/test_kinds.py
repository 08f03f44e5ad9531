"""Resources that only Windows has: from nothing, broken by hand, healed, removed. On the stand-in and on Windows."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from .benches import Bench, until

NAME = "LLM_HARNESS_TEST"
KEY = r"HKCU\Software\llm-harness-test"
ENVIRONMENT = r"HKCU\Environment"


class Kind:
    """One kind, spoken to as the agent speaks to it."""

    def __init__(self, bench: Bench, name: str) -> None:
        system = bench.load("windows.system").Windows()
        self.home = bench.load("home").Home(system, bench.home)
        self.name = name
        self.kind = bench.load("windows.kinds").kinds()[name](system, self.home)

    def look(self, which: str, spec: dict[str, Any] | None = None) -> Any:
        return self.kind.look({which: spec or {}})[which]

    def ensure(self, which: str, **request: Any) -> Any:
        return self.kind.ensure({"id": which, **request}, lambda state: None)[self.name][which]

    def remove(self, which: str) -> None:
        assert self.kind.remove({"id": which}, lambda state: None) == {self.name: {which: None}}
        assert self.home.entry(self.name, which) == {}


@pytest.fixture
def refused(bench: Bench) -> Any:
    return bench.load("errors").Refused


def value(bench: Bench, key: str, name: str) -> Any:
    return (bench.load("windows.win32").values(key) or {}).get(name)


# -- environment
def test_a_variable(bench: Bench) -> None:
    kind, which = Kind(bench, "variable"), f"user/{NAME}"
    assert kind.look(which) is None
    assert kind.ensure(which, value="one") == {"value": "one", "expands": False}
    assert value(bench, ENVIRONMENT, NAME) == (1, "one")
    bench.load("windows.win32").set_value(ENVIRONMENT, NAME, 1, "by hand")
    assert kind.look(which) == {"value": "by hand", "expands": False}
    kind.ensure(which, value="%USERPROFILE%\\x")
    assert value(bench, ENVIRONMENT, NAME) == (2, "%USERPROFILE%\\x")
    kind.ensure(which, value="plain")
    assert value(bench, ENVIRONMENT, NAME) == (2, "plain")
    assert kind.ensure(which, value=None) is None
    assert kind.ensure(which, value=None) is None
    kind.remove(which)
    assert kind.look(which) is None
    kind.remove(which)


def test_a_variable_that_was_there_and_must_not_be_comes_back(bench: Bench) -> None:
    kind, which = Kind(bench, "variable"), f"user/{NAME}"
    bench.load("windows.win32").set_value(ENVIRONMENT, NAME, 2, "%TEMP%\\theirs")
    assert kind.ensure(which, value=None) is None
    kind.remove(which)
    assert value(bench, ENVIRONMENT, NAME) == (2, "%TEMP%\\theirs")
    bench.load("windows.win32").set_value(ENVIRONMENT, NAME, None)


def test_a_variable_that_was_there_comes_back(bench: Bench) -> None:
    kind, which = Kind(bench, "variable"), f"user/{NAME}"
    bench.load("windows.win32").set_value(ENVIRONMENT, NAME, 2, "%TEMP%\\theirs")
    kind.ensure(which, value="ours")
    kind.ensure(which, value="ours again")
    kind.remove(which)
    assert value(bench, ENVIRONMENT, NAME) == (2, "%TEMP%\\theirs")
    bench.load("windows.win32").set_value(ENVIRONMENT, NAME, None)


@pytest.mark.parametrize(
    ("which", "text"), [("user/Path", "x"), ("user/A=B", "x"), (NAME, "x"), ("user/A", "x" * 40_000), ("user/", "x")]
)
def test_variables_that_are_refused(bench: Bench, refused: Any, which: str, text: str) -> None:
    with pytest.raises(refused):
        Kind(bench, "variable").ensure(which, value=text)


def test_a_path_entry(bench: Bench, refused: Any) -> None:
    kind, which = Kind(bench, "path_entry"), r"user/C:\llm harness test"
    before = value(bench, ENVIRONMENT, "Path")
    assert kind.look(which) is None
    assert kind.ensure(which) == {}
    after = value(bench, ENVIRONMENT, "Path")
    assert after[0] == before[0]
    assert after[1].startswith(before[1])
    assert kind.ensure(which) == {}
    assert value(bench, ENVIRONMENT, "Path") == after
    kind.remove(which)
    assert value(bench, ENVIRONMENT, "Path")[1].rstrip(";") == before[1].rstrip(";")
    bench.load("windows.win32").set_value(ENVIRONMENT, "Path", *before)
    with pytest.raises(refused):
        kind.ensure("user/a;b")


def test_a_path_entry_that_was_there_stays(bench: Bench) -> None:
    kind = Kind(bench, "path_entry")
    before = value(bench, ENVIRONMENT, "Path")
    entry = next(each for each in before[1].split(";") if each)
    which = f"user/{bench.load('windows.environment').expanded(entry).upper()}"
    assert kind.ensure(which) == {}
    kind.remove(which)
    assert value(bench, ENVIRONMENT, "Path") == before


# -- registry
@pytest.mark.parametrize(
    ("kind_word", "data", "raw"),
    [
        ("string", "x", (1, "x")),
        ("expand", "%TEMP%", (2, "%TEMP%")),
        ("binary", "00ff", (3, b"\x00\xff")),
        ("dword", 7, (4, 7)),
        ("multi", ["a", "b"], (7, ["a", "b"])),
        ("qword", 1 << 40, (11, 1 << 40)),
    ],
)
def test_registry_values(bench: Bench, kind_word: str, data: Any, raw: Any) -> None:
    kind, which = Kind(bench, "registry_value"), KEY + r"\One"
    assert kind.look(which) is None
    assert kind.ensure(which, type=kind_word, data=data) == {"type": kind_word, "data": data}
    assert value(bench, KEY, "One") == raw
    bench.load("windows.win32").set_value(KEY, "One", 1, "by hand")
    assert kind.look(which) == {"type": "string", "data": "by hand"}
    kind.ensure(which, type=kind_word, data=data)
    assert kind.ensure(which, type=kind_word, data=None) is None
    kind.remove(which)
    assert kind.look(which) is None


def test_registry_values_that_are_refused(bench: Bench, refused: Any) -> None:
    kind = Kind(bench, "registry_value")
    rules = bench.load("windows.rules").KEY
    for which in (rules + r"\x", r"HKLM\SYSTEM\CurrentControlSet\Services\Spooler\Start"):
        with pytest.raises(refused, match="does not see it"):
            kind.ensure(which, type="string", data="x")
    with pytest.raises(refused, match="no dword"):
        kind.ensure(KEY + r"\x", type="dword", data="x")
    kind.remove(KEY + r"\x")


# -- firewall
RULE = {
    "action": "allow",
    "direction": "in",
    "protocol": "tcp",
    "ports": [45999],
    "remote": ["100.64.0.0/10", "fd7a:115c:a1e0::/48"],
    "description": "of the tests",
}


def netsh(bench: Bench, *words: str) -> int:
    code: int = bench.load("windows.win32").run("netsh.exe", ["advfirewall", "firewall", *words])[0]
    return code


def test_a_firewall_rule(bench: Bench) -> None:
    kind, which = Kind(bench, "firewall_rule"), "llm-harness test"
    with contextlib.suppress(Exception):
        netsh(bench, "delete", "rule", f"name={which}")
    assert kind.look(which, RULE) is None
    try:
        found = kind.ensure(which, spec=RULE)
        assert (found["as_wanted"], found["count"], found["differs"]) == (True, 1, [])
        netsh(bench, "set", "rule", f"name={which}", "new", "enable=no")
        assert kind.look(which, RULE)["differs"] == ["enabled"]
        assert kind.ensure(which, spec=RULE)["as_wanted"]
        other = {**RULE, "ports": [45998], "profiles": ["private"], "description": "another"}
        assert kind.look(which, other)["differs"] == ["description", "ports", "profiles"]
        assert kind.ensure(which, spec=other)["as_wanted"]
        netsh(bench, "add", "rule", f"name={which}", "dir=in", "action=block")
        assert kind.look(which, other)["count"] == 2
        assert kind.ensure(which, spec=other)["as_wanted"]
        assert kind.look(which)["as_wanted"]
    finally:
        kind.remove(which)
    assert kind.look(which, RULE) is None
    kind.remove(which)


def test_firewall_rules_that_are_refused(bench: Bench, refused: Any) -> None:
    kind = Kind(bench, "firewall_rule")
    with pytest.raises(refused, match="every rule"):
        kind.ensure("all", spec=RULE)
    with pytest.raises(refused):
        kind.ensure("llm-harness test", spec={**RULE, "ports": ["many"]})
    kind.remove("llm-harness test")


# -- tasks
TASK = "llm-harness-test-task"


@pytest.fixture
def task(bench: Bench) -> dict[str, Any]:
    return {
        "description": "a task of the tests",
        "account": "system",
        "triggers": [{"at": "daily", "start": "2026-01-01T03:00:00"}],
        "environment": {"COLOUR": "green"},
        "command": bench.command("short"),
    }


def test_a_task(bench: Bench, task: dict[str, Any]) -> None:
    kind, win32 = Kind(bench, "task"), bench.load("windows.win32")
    assert kind.look(TASK) is None
    try:
        found = kind.ensure(TASK, spec=task, inputs={}, run=False)
        assert found == {
            "spec": task,
            "intact": True,
            "enabled": True,
            "running": False,
            "last_result": 0x41303,
            "inputs": {},
        }
        kind.ensure(TASK, spec=task, inputs={"a": "1"}, run=True)
        until(lambda: kind.look(TASK)["last_result"] == 3)
        assert kind.look(TASK)["inputs"] == {"a": "1"}
        win32.run("schtasks.exe", ["/Change", "/TN", "\\llm-harness\\" + TASK, "/DISABLE"])
        assert (kind.look(TASK)["enabled"], kind.look(TASK)["intact"]) == (False, False)
        assert kind.ensure(TASK, spec=task, inputs={}, run=False)["intact"]
        win32.run("schtasks.exe", ["/Delete", "/TN", "\\llm-harness\\" + TASK, "/F"])
        assert kind.look(TASK)["intact"] is False
        assert kind.ensure(TASK, spec=task, inputs={}, run=False)["intact"]
    finally:
        kind.remove(TASK)
    assert kind.look(TASK) is None


def test_a_running_task_that_changes_is_started_again_whole(bench: Bench, task: dict[str, Any]) -> None:
    kind, win32 = Kind(bench, "task"), bench.load("windows.win32")
    kind.ensure(TASK, spec={**task, "command": bench.command("parent")}, inputs={}, run=True)
    job = "llm-harness-tasks-" + TASK
    until(lambda: len(win32.job_processes(job)) >= 3)
    tree = win32.job_processes(job)
    kind.ensure(TASK, spec={**task, "command": bench.command("forever")}, inputs={}, run=False)
    assert not any(each in win32.job_processes(job) for each in tree)
    until(lambda: kind.look(TASK)["running"])
    kind.remove(TASK)
    until(lambda: not win32.job_processes(job))


def test_a_task_of_a_user(bench: Bench, task: dict[str, Any], refused: Any) -> None:
    kind = Kind(bench, "task")
    own = {
        **task,
        "account": bench.user,
        "logon": "s4u",
        "elevated": True,
        "triggers": [{"at": "logon"}],
        "limit_s": 60,
    }
    try:
        assert kind.ensure(TASK, spec=own, inputs={}, run=False)["intact"]
        assert not kind.ensure(TASK, spec={**own, "enabled": False}, inputs={}, run=False)["enabled"]
    finally:
        kind.remove(TASK)
    with pytest.raises(refused, match="there is no user"):
        kind.ensure(TASK, spec={**task, "account": "nobody-of-that-name"}, inputs={}, run=False)
    kind.remove(TASK)


# -- others
def test_what_waits_for_a_restart_is_told(bench: Bench) -> None:
    found = Kind(bench, "reboot").look("pending")
    assert isinstance(found["pending"], list)
    assert int(found["boot"]) > 0


def test_power_settings_are_numbers(bench: Bench, refused: Any) -> None:
    kind = Kind(bench, "power")
    for name in ("sleep", "hibernate"):
        assert all(isinstance(each, int) for each in kind.look(name).values())
    with pytest.raises(refused, match="none of that name"):
        kind.look("nap")


def test_listeners_are_rows_of_numbers(bench: Bench) -> None:
    for each in bench.load("windows.sockets").listeners():
        assert each["port"] > 0
        assert ":" in each["address"] or each["address"].count(".") == 3


def test_a_program_that_is_not_installed(bench: Bench) -> None:
    assert Kind(bench, "installer").look("No Such Program Of Ours") is None


def test_a_service_that_is_not_there(bench: Bench, refused: Any) -> None:
    kind = Kind(bench, "windows_service")
    assert kind.look("no-such-service") is None
    with pytest.raises(refused, match="none of that name"):
        kind.ensure("no-such-service", start="auto", running=True)
