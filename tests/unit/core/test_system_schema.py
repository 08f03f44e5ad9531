"""What cannot be meant of a machine itself is refused in one sentence."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from deploys.schema import (
    TAILNET,
    Data,
    DockerDesktop,
    Feature,
    FirewallRule,
    Gateway,
    Installer,
    Nonsense,
    Ollama,
    PathEntry,
    Power,
    Reboot,
    RegistryValue,
    Release,
    ScheduledTask,
    Secret,
    Ssh,
    SystemService,
    Trigger,
    Variable,
    system,
)
from deploys.schema.whole import check_machine

SHA = "0" * 64
VALUE = r"HKLM\SOFTWARE\Ours\Number"
GOOD: tuple[Data, ...] = (
    Variable("COLOUR", "green"),
    Variable("COLOUR", None, scope="user"),
    PathEntry(r"C:\Ours"),
    RegistryValue(VALUE, "dword", 7),
    RegistryValue(VALUE, "multi", ["a", "b"]),
    RegistryValue(VALUE, "binary", "00ff"),
    RegistryValue(VALUE),
    FirewallRule("door", ports=(4000,), remote=TAILNET),
    FirewallRule("door", enabled=False),
    SystemService("Spooler", start="disabled", running=False),
    Feature("VirtualMachinePlatform"),
    Power("sleep"),
    Installer("Program", "https://x/setup.exe", SHA, ("/VERYSILENT",), version="1.2"),
    ScheduledTask("nightly", ("a.exe",), (Trigger("weekly", "2026-01-01T03:00:00", days=("Monday",)), Trigger("boot"))),
    Reboot(),
)
TASK: dict[str, Any] = {"name": "nightly", "command": ("a.exe",), "triggers": ()}
NONSENSE: dict[str, tuple[type[Data], dict[str, Any], str]] = {
    "path as a whole": (Variable, {"name": "Path", "value": "x"}, "name = 'Path' would replace every entry"),
    "no name": (Variable, {"name": "A=B", "value": "x"}, "name = 'A=B' is no name of a variable"),
    "no value": (Variable, {"name": "A", "value": 7}, "value = 7 has the wrong type"),
    "nobody's": (Variable, {"name": "A", "value": "", "scope": "all"}, "scope = 'all' has the wrong type"),
    "two entries": (PathEntry, {"directory": r"C:\a;C:\b"}, "is no name of a directory"),
    "no hive": (RegistryValue, {"name": r"SOFTWARE\Ours\Number"}, "is no value such as"),
    "text for number": (RegistryValue, {"name": VALUE, "type": "dword", "data": "7"}, "data = '7' is no dword"),
    "negative": (RegistryValue, {"name": VALUE, "type": "dword", "data": -1}, "data = -1 must not be negative"),
    "list for text": (RegistryValue, {"name": VALUE, "data": ["7"]}, "data = ('7',) is no string"),
    "odd hex": (RegistryValue, {"name": VALUE, "type": "binary", "data": "0"}, "is not made of pairs"),
    "every rule": (FirewallRule, {"name": "all"}, "name = 'all' is no name of one rule"),
    "no port": (FirewallRule, {"name": "x", "ports": [0]}, "ports = (0,) holds no port number"),
    "ports of any": (FirewallRule, {"name": "x", "ports": [1], "protocol": "any"}, "wants the protocol tcp or udp"),
    "no network": (FirewallRule, {"name": "x", "remote": ["tailnet"]}, "holds 'tailnet', which is no address"),
    "host bits": (FirewallRule, {"name": "x", "remote": ["100.64.0.1/10"]}, "holds '100.64.0.1/10'"),
    "off and more": (FirewallRule, {"name": "x", "ports": [1], "enabled": False}, "say nothing else of them"),
    "runs disabled": (SystemService, {"name": "x", "start": "disabled"}, "running = True cannot be: it is disabled"),
    "a nap": (Power, {"name": "nap"}, "name = 'nap' has the wrong type"),
    "no address": (Installer, {"name": "x", "url": "x.exe", "sha256": SHA}, "url = 'x.exe' is not a http(s) URL"),
    "no hash": (Installer, {"name": "x", "url": "https://x/y.exe", "sha256": "0"}, "is not 64 lower-case hex digits"),
    "no time": (Trigger, {"at": "daily", "start": "3:00"}, "start = '3:00' is no time"),
    "no start": (Trigger, {"at": "daily"}, "start = None is needed for 'daily'"),
    "no days": (Trigger, {"at": "weekly", "start": "2026-01-01T03:00:00"}, "days = () is needed for 'weekly'"),
    "no period": (Trigger, {"at": "every", "start": "2026-01-01T03:00:00"}, "every_s = None is needed for 'every'"),
    "a folder": (ScheduledTask, {**TASK, "name": r"a\b"}, "has other signs"),
    "no program": (ScheduledTask, {**TASK, "command": ()}, "command = () names no program"),
    "bad trigger": (ScheduledTask, {**TASK, "triggers": ["boot"]}, "triggers = ('boot',) has the wrong type"),
    "unknown": (Feature, {"name": "x", "on": True}, "unknown field 'on' (fields: name, enabled)"),
}


@pytest.mark.parametrize("each", GOOD, ids=lambda each: f"{type(each).__name__}")
def test_sense_is_frozen_and_prints_itself(each: Data) -> None:
    json.dumps(each.to_json())
    with pytest.raises(dataclasses.FrozenInstanceError):
        each.name = "another"  # type: ignore[attr-defined]


def test_every_class_is_tried() -> None:
    named = {each for each in vars(system).values() if isinstance(each, type) and issubclass(each, Data)}
    assert {type(each) for each in GOOD} | {Trigger} == named - {Data}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_one_sentence(name: str) -> None:
    cls, fields, sentence = NONSENSE[name]
    with pytest.raises(Nonsense) as caught:
        cls(**fields)
    assert sentence in str(caught.value)
    assert str(caught.value).startswith(cls.__name__)
    assert "\n" not in str(caught.value)


def test_what_a_task_asks_for_says_nothing_that_is_not_chosen() -> None:
    task = ScheduledTask(
        "t", ("a.exe", "b"), (Trigger("boot", delay_s=30), Trigger("logon", user="ann")), account="ann"
    )
    spec = task.spec()
    assert spec["triggers"] == [{"at": "boot", "delay_s": 30}, {"at": "logon", "user": "ann"}]
    assert (spec["command"], spec["logon"]) == (["a.exe", "b"], "s4u")
    assert "logon" not in dataclasses.replace(task, account="system").spec()


GATEWAY = Gateway(image=f"x:1@sha256:{SHA}", master_key=Secret("K"))
OLLAMA = Ollama(Release("0.40.2", "https://x", SHA), "/o", "/s", "/m")
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another class": ({"features": ["x"]}, "apex: features holds 'x', and must be a list of Feature"),
    "no list": ({"power": Power("sleep")}, "apex: power holds Power(name='sleep'"),
    "a list": ({"reboot": [Reboot()]}, "apex: reboot holds [Reboot("),
    "twice": (
        {"variables": [Variable("A", "1"), Variable("a", "2")]},
        "apex: variables name machine/a twice: keep one",
    ),
    "a task twice": ({"tasks": [ScheduledTask(**TASK)] * 2}, "apex: tasks name nightly twice: keep one"),
    "a feature for Docker too": (
        {"features": [Feature("VM")], "docker": DockerDesktop("ann", installers=(), features=(Feature("vm"),))},
        "apex: features name vm twice: keep one",
    ),
    "Docker for somebody else": (
        {
            "docker": DockerDesktop("ann", installers=(), settings=(RegistryValue(r"HKCU\Run\Docker", data="x"),)),
            "gateway": GATEWAY,
            "ssh_user": r"PC\bob",
        },
        r"apex: docker.user is ann and the desk comes as PC\bob: name the same user in inventory.py (ssh_user)",
    ),
    "the engine opened": (
        {"ollama": OLLAMA, "firewall_rules": [FirewallRule("x", ports=(11434,))]},
        "apex: firewall rule 'x' opens port 11434: Ollama stays on loopback, the gateway is its door",
    ),
    "sshd stopped": (
        {"ssh": Ssh("/x", service="sshd"), "system_services": [SystemService("SSHD", running=False)]},
        "apex: system_services lets SSHD stop, or not start with the machine: it is the way in",
    ),
    "a tailnet that does not start": (
        {"system_services": [SystemService("Tailscale", start="manual")]},
        "apex: system_services lets Tailscale stop, or not start with the machine: it is the way in",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_lists_that_cannot_be_meant(name: str) -> None:
    data, sentence = WRONG[name]
    with pytest.raises(Nonsense) as caught:
        check_machine("apex", data)
    assert str(caught.value).startswith(sentence)


def test_lists_that_make_sense() -> None:
    block = FirewallRule("x", action="block", ports=(11434,))
    variables = [Variable("A", "1"), Variable("A", "1", scope="user")]
    check_machine("apex", {"ollama": OLLAMA, "firewall_rules": [block], "variables": variables})
    settings = (RegistryValue(r"HKCU\Run\Docker", data="x"),)
    docker = {"docker": DockerDesktop(r"PC\Ann", installers=(), settings=settings), "gateway": GATEWAY}
    check_machine("apex", {**docker, "ssh_user": "ann"})
    check_machine("apex", docker)  # pyinfra comes as whoever runs it
    check_machine("bare", {})
