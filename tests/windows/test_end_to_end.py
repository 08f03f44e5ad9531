"""Converge, tamper, heal, remove, by pyinfra over real SSH: on Windows its own OpenSSH on localhost, elsewhere the
stand-in's sshd. What is so is asked of the machine's own commands, over the same SSH.

On Windows it needs END_TO_END_KEY, the file of a private key that this machine's sshd accepts for this user, and
OpenSSH's client. pyinfra runs on Windows itself there: its SSH connector is Python through and through.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ON_WINDOWS = sys.platform == "win32"
PLACE = r"C:\llm-harness-end-to-end"
FILE, BIN = rf"{PLACE}\app.conf", rf"{PLACE}\bin"
ENVIRONMENT = r'"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"'
RULES = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"

INVENTORY = "windows = [({name!r}, {data!r})]\n"
DEPLOY = r"""
from pyinfra import host

from deploys.operations import files, firewall, settings, task
from deploys.roles import machine, retired
from deploys.schema import TAILNET, FirewallRule, PathEntry, RegistryValue, ScheduledTask, Trigger, Variable

PLACE = r"C:\llm-harness-end-to-end"
if "windows" in host.groups:
    with machine.converging():
        if {present}:
            files.directory(name="Folder", path=PLACE, access="administrators")
            files.config(name="File", dest=PLACE + r"\app.conf", text="colour: grün\n", access="administrators")
            settings.variable(name="Variable", variable=Variable("LLM_HARNESS_TEST", "one"))
            settings.path_entry(name="Path", entry=PathEntry(PLACE + r"\bin"))
            settings.registry_value(
                name="Value", value=RegistryValue(r"HKLM\SOFTWARE\llm-harness-test\Number", "dword", 7)
            )
            firewall.rule(name="Rule", rule=FirewallRule("llm-harness test", ports=[47111], remote=TAILNET))
            task.scheduled(
                name="Task",
                task=ScheduledTask(
                    "llm-harness-test", [r"C:\Windows\System32\whoami.exe"], [Trigger("boot")], account="system"
                ),
            )
        retired.remove()
"""
THINGS = {
    ("directory", PLACE),
    ("file", FILE),
    ("variable", "machine/LLM_HARNESS_TEST"),
    ("path_entry", rf"machine/{BIN}"),
    ("registry_value", r"HKLM\SOFTWARE\llm-harness-test\Number"),
    ("firewall_rule", "llm-harness test"),
    ("task", "llm-harness-test"),
}
# what somebody does behind our back: kind -> command line
TAMPER = {
    "content": ("file", rf"echo x> {FILE}"),
    "access of the file": ("file", rf"icacls {FILE} /grant *S-1-5-32-545:F"),
    "access of the folder": ("directory", rf"icacls {PLACE} /grant *S-1-5-32-545:F"),
    "variable": ("variable", f"reg add {ENVIRONMENT} /v LLM_HARNESS_TEST /t REG_SZ /d two /f"),
    "value": ("registry_value", r"reg add HKLM\SOFTWARE\llm-harness-test /v Number /t REG_DWORD /d 8 /f"),
    "rule off": ("firewall_rule", 'netsh advfirewall firewall set rule name="llm-harness test" new enable=no'),
    "rule gone": ("firewall_rule", 'netsh advfirewall firewall delete rule name="llm-harness test"'),
    "task off": ("task", "schtasks /Change /TN {task} /DISABLE"),
    "task gone": ("task", "schtasks /Delete /TN {task} /F"),
}


@dataclass
class Project:
    """A desk with that one machine."""

    folder: Path
    name: str
    data: dict[str, Any]
    agent: str  # source of the group data
    environment: dict[str, str] = field(default_factory=dict)

    def pyinfra(self, present: bool, *options: str) -> list[dict[str, Any]]:
        """One run; what our deploys report of it."""
        (self.folder / "group_data").mkdir(exist_ok=True)
        (self.folder / "group_data" / "all.py").write_text(self.agent, encoding="utf-8")
        (self.folder / "inventory.py").write_text(INVENTORY.format(name=self.name, data=self.data), encoding="utf-8")
        deploy = DEPLOY.replace("{present}", str(present))
        (self.folder / "deploy.py").write_text(deploy, encoding="utf-8")
        report = self.folder / "report"
        report.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SECRETS", "DESK"))}
        environment |= {"PYTHONPATH": str(ROOT), "DESK_REPORT": str(report), "PYTHONUTF8": "1"}
        program = Path(sys.executable).parent / ("pyinfra.exe" if ON_WINDOWS else "pyinfra")
        done = subprocess.run(
            [str(program), "inventory.py", "deploy.py", *options],
            cwd=self.folder,
            env=environment | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=600,
        )
        said = (done.stdout + done.stderr).decode("utf-8", "replace")
        assert done.returncode == 0, said
        assert "Traceback" not in said, said
        return [json.loads(line) for line in report.read_text("utf-8").splitlines()] if report.exists() else []

    def converge(self, present: bool = True) -> set[tuple[str, str]]:
        return {(each["kind"], each["id"]) for each in self.pyinfra(present, "-y") if each["event"] == "changed"}

    def plan(self, present: bool = True) -> set[tuple[str, str]]:
        return {(each["kind"], each["id"]) for each in self.pyinfra(present, "--dry") if each["event"] == "planned"}

    def ask(self, command: str) -> tuple[int, bytes]:
        """The machine's own answer to a command line of cmd.exe."""
        options = {
            **{"Port": self.data["ssh_port"], "User": self.data["ssh_user"], "BatchMode": "yes"},
            **{"UserKnownHostsFile": self.data["ssh_known_hosts_file"], "StrictHostKeyChecking": "yes"},
        }
        line = ["ssh", "-T", "-i", self.data["ssh_key"], *(f"-o{name}={value}" for name, value in options.items())]
        done = subprocess.run([*line, self.name, command], stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        return done.returncode, done.stdout + done.stderr


def data_of(port: int, user: str, key: Path, known: Path) -> dict[str, Any]:
    return {
        **{"ssh_port": port, "ssh_user": user, "ssh_key": str(key), "ssh_known_hosts_file": str(known)},
        **{"ssh_strict_host_key_checking": "yes", "ssh_allow_agent": False, "ssh_look_for_keys": False},
    }


if sys.platform == "win32":

    @pytest.fixture
    def project(tmp_path: Path) -> Iterator[Project]:
        """This machine, over its own sshd."""
        key = os.environ.get("END_TO_END_KEY")
        if not key:
            pytest.skip("END_TO_END_KEY names no key that this machine's sshd accepts")
        known = tmp_path / "known_hosts"
        host_key = Path(os.environ["PROGRAMDATA"], "ssh", "ssh_host_ed25519_key.pub").read_text(encoding="ascii")
        known.write_text(f"127.0.0.1 {host_key}", encoding="ascii")
        agent = (ROOT / "group_data" / "windows.py").read_text(encoding="utf-8")
        kept = agent[: agent.index("\nollama = ")]
        yield Project(tmp_path, "127.0.0.1", data_of(22, os.environ["USERNAME"], Path(key), known), kept)

else:
    from .standin.machine import Machine
    from .test_standin_arrival import GROUP_DATA, HOME, desk, key
    from .test_standin_arrival import Desk as Arrival

    __all__ = ["desk", "key"]

    @pytest.fixture
    def project(desk: Arrival, machine: Machine, tmp_path: Path) -> Iterator[Project]:
        """The stand-in, with a Python to bring that it understands."""
        if not shutil.which("ssh"):
            pytest.skip("there is no OpenSSH client here")
        assert desk.door.host_key
        known = tmp_path / "known_hosts"
        known.write_text(f"[127.0.0.1]:{desk.door.port} {desk.door.host_key.export_public_key().decode()}")
        agent = (desk.folder / "group_data" / "all.py").read_text()
        assert HOME in agent.replace("\\\\", "\\")
        assert "Agent(" in GROUP_DATA
        data = data_of(desk.door.port, "anna", desk.key, known)
        yield Project(tmp_path, "127.0.0.1", data, agent, {"XDG_CACHE_HOME": str(tmp_path / "cache")})


def test_from_nothing_and_back(project: Project) -> None:
    assert project.plan() == THINGS
    assert project.converge() == THINGS
    assert project.plan() == set()
    assert project.converge() == set()
    everything_is_there(project)

    _, listed = project.ask("schtasks /Query /FO CSV /NH")
    task = next(
        line.split('"')[1] for line in listed.decode("ascii", "replace").splitlines() if "llm-harness-test" in line
    )
    for what, (kind, command) in TAMPER.items():
        code, said = project.ask(command.format(task=f'"{task}"'))
        assert code == 0, (what, said)
        assert {each for each, _ in project.plan()} == {kind}, what
        assert {each for each, _ in project.converge()} == {kind}, what
    assert project.plan() == set()
    everything_is_there(project)

    assert {kind for kind, _ in project.plan(present=False)} == {kind for kind, _ in THINGS}
    project.converge(present=False)
    assert project.converge(present=False) == set()
    for command in (
        rf"dir /b {PLACE}",
        f"reg query {ENVIRONMENT} /v LLM_HARNESS_TEST",
        r"reg query HKLM\SOFTWARE\llm-harness-test /v Number",
        'netsh advfirewall firewall show rule name="llm-harness test"',
    ):
        assert project.ask(command)[0] != 0, command
    assert BIN.encode() not in project.ask(f"reg query {ENVIRONMENT} /v Path")[1]
    assert b"llm-harness-test" not in project.ask("schtasks /Query /FO CSV /NH")[1]


def everything_is_there(project: Project) -> None:
    """By Windows' own commands."""
    assert project.ask(f"type {FILE}") == (0, "colour: grün\n".encode())
    _, access = project.ask(f"icacls {FILE}")
    assert b"(F)" in access
    assert access.count(b":") == 3, access  # the drive's, and one of each entry
    assert b"one" in project.ask(f"reg query {ENVIRONMENT} /v LLM_HARNESS_TEST")[1]
    assert BIN.encode() in project.ask(f"reg query {ENVIRONMENT} /v Path")[1]
    assert b"0x7" in project.ask(r"reg query HKLM\SOFTWARE\llm-harness-test /v Number")[1]
    rules = project.ask(f'reg query "{RULES}"')[1]
    (rule,) = [line for line in rules.splitlines() if b"|Name=llm-harness test|" in line]
    assert b"|Active=TRUE|" in rule
    assert b"|LPort=47111|" in rule
