"""The way in to a Windows machine where nothing of ours is, by pyinfra's own command over the stand-in's sshd."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import types
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from deploys.facts import arrival, link
from deploys.schema import Agent
from tests.unit.agent.shop import Shop

from .standin import python, security, sshkeys
from .standin.curl import curl
from .standin.machine import Machine
from .standin.processes import Process, wrapped
from .standin.registry import SZ
from .standin.security import ADMINISTRATORS, SYSTEM
from .standin.sshd import Manners, Sshd
from .test_standin_verbs import RUN

ROOT = Path(__file__).resolve().parents[2]
PYINFRA = Path(sys.executable).parent / "pyinfra"
HOME = r"C:\ProgramData\ssh\llm-harness"
PLACE = rf"{HOME}\python-3.12.10"
CURL = r"C:\Windows\System32\curl.exe"
SHELLS = {
    "cmd": "",
    "powershell": r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe",
    "bash": r"C:\Program Files\Git\bin\bash.exe",
}
INVENTORY = """
windows = [("127.0.0.1", {{"ssh_port": {port}, "ssh_user": "anna", "ssh_key": {key!r}, "ssh_allow_agent": False,
    "ssh_look_for_keys": False, "ssh_known_hosts_file": {known!r}, "ssh_strict_host_key_checking": "off"}})]
"""
GROUP_DATA = """
from deploys.schema import Agent, Release

_shell_executable = None
agent = Agent(
    python={python!r}, home={home!r}, runtime=Release(version="3.12.10", url={url!r}, sha256={sha256!r})
)
"""
DEPLOY = """
from pyinfra import host

from deploys.facts import secrets
from deploys.operations import files
from deploys.roles import machine, retired

if "windows" in host.groups:
    with machine.converging():
{body}
        retired.remove()
"""
FILE = r"""files.config(name="File", dest=r"C:\litellm\{0}", text={1!r}, access="administrators")"""


def archive() -> bytes:
    """An embeddable Python as the stand-in understands it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in {
            "python.exe": wrapped("python"),
            "python312.dll": b"MZ" * 4000,
            "python312.zip": b"PK" * 3000,
            "python312._pth": b"python312.zip\r\n.\r\n",
        }.items():
            packed.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()


@dataclass
class Run:
    code: int
    output: str
    report: list[dict[str, Any]]

    def of(self, event: str) -> list[str]:
        return [each.get("sentence") or each["id"] for each in self.report if each["event"] == event]


@dataclass
class Desk:
    """A project with that one machine."""

    folder: Path
    machine: Machine
    shop: Shop
    key: Path
    door: Sshd
    lines: list[str] = field(default_factory=list)  # what its shell was told since the last run

    def __post_init__(self) -> None:
        (self.folder / "group_data").mkdir(parents=True)
        self.wants()
        self.has_runtime()
        composed = self.door.composed

        def noted(command: str) -> tuple[str, str]:
            self.lines.append(command)
            return composed(command)

        self.door.composed = noted  # type: ignore[method-assign]

    def has_runtime(self, url: str = "", sha256: str = "", python: str = rf"{PLACE}\python.exe -I -X utf8") -> None:
        data = GROUP_DATA.format(
            python=python,
            home=HOME,
            url=url or self.shop.url("python.zip"),
            sha256=sha256 or hashlib.sha256(self.shop.goods["python.zip"]).hexdigest(),
        )
        (self.folder / "group_data" / "all.py").write_text(data)

    def wants(self, *lines: str) -> None:
        body = "\n".join(f"        {line}" for line in lines or ("pass",))
        (self.folder / "deploy.py").write_text(DEPLOY.format(body=body))

    def converge(self, *options: str) -> Run:
        where = {"port": self.door.port, "key": str(self.key), "known": str(self.folder / "known_hosts")}
        (self.folder / "inventory.py").write_text(INVENTORY.format(**where))
        log = self.folder / "report"
        log.unlink(missing_ok=True)
        self.lines.clear()
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SECRETS", "DESK"))}
        environment |= {"PYTHONPATH": str(ROOT), "DESK_REPORT": str(log), "XDG_CACHE_HOME": str(self.folder / "cache")}
        ran = subprocess.run(
            [str(PYINFRA), "inventory.py", "deploy.py", *(options or ("-y",))],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert not self.machine.processes.faults
        assert "Traceback" not in ran.stdout, ran.stdout
        entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Run(ran.returncode, ran.stdout, entries)

    def converged(self, *options: str) -> Run:
        run = self.converge(*options)
        assert run.code == 0, run.output
        return run

    # -- without pyinfra around it: the same connection, in this process
    def agent(self) -> Agent:
        loaded: dict[str, Any] = {}
        exec((self.folder / "group_data" / "all.py").read_text(), loaded)
        agent = loaded["agent"]
        assert isinstance(agent, Agent)
        return agent

    @contextmanager
    def connected(self, **data: Any) -> Iterator[Any]:
        """What the operations know as the host."""
        with paramiko.SSHClient() as client:
            client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
            alone: dict[str, Any] = {"allow_agent": False, "look_for_keys": False, "timeout": 10}
            client.connect("127.0.0.1", self.door.port, "anna", key_filename=str(self.key), **alone)
            transport = client.get_transport()
            assert transport is not None
            connector = types.SimpleNamespace(
                client=client, get_file_transfer_connection=lambda: paramiko.SFTPClient.from_transport(transport)
            )
            yield types.SimpleNamespace(data={"agent": self.agent(), **data}, connector=connector, name="apex")

    def ask(self, verb: str = "look", request: Any = None) -> Any:
        """One question over a connection of its own."""
        self.lines.clear()
        with self.connected() as host:
            answer = link.ask(host, verb, request or {"asked": [], "programs": []})
        assert not self.machine.processes.faults
        return answer

    def refused(self) -> str:
        with pytest.raises(link.Unreachable) as caught:
            self.ask()
        return str(caught.value)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A German one: what it says is no UTF-8."""
    made = Machine(tmp_path / "machine", language="de")
    yield made
    made.close()


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("key") / "key"
    private = ed25519.Ed25519PrivateKey.generate()
    openssh, plain = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    path.touch(0o600)
    path.write_bytes(private.private_bytes(serialization.Encoding.PEM, openssh, plain))
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return path, public.decode()


@pytest.fixture
def desk(machine: Machine, key: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "desk" / "cache"))
    sshkeys.furnish(machine, f"{key[1]} desk\n")
    machine.processes.kinds["python"] = python.interpreter(machine)
    machine.processes.install(CURL, curl)
    shop = Shop({"python.zip": archive()})
    door = Sshd(machine, Manners())
    door.start()
    yield Desk(tmp_path / "desk", machine, shop, key[0], door)
    door.stop()
    shop.stop()


def agents(machine: Machine) -> list[str]:
    return sorted(each.name for each in machine.drive.real(HOME).iterdir() if each.name.startswith("agent-"))


def test_a_bare_machine(desk: Desk, machine: Machine) -> None:
    desk.wants(FILE.format("größe.yaml", "a: ü\n"))
    first = desk.converged()
    assert first.of("changed") == [r"C:\litellm\größe.yaml"]
    assert machine.drive.read(r"C:\litellm\größe.yaml") == "a: ü\n".encode()
    assert len(agents(machine)) == 1
    for path in (HOME, rf"{HOME}\{agents(machine)[0]}", rf"{PLACE}\python.exe"):
        allowed = {ace.sid for ace in machine.drive.descriptor(path).aces}
        assert allowed == {ADMINISTRATORS, SYSTEM}
    assert machine.drive.descriptor(HOME).protected
    left = {each.name for each in machine.drive.real(HOME).iterdir()}
    assert not any(name.startswith(".") or name.endswith((".zip", ".new")) for name in left)

    again = desk.converged()
    assert again.of("changed") == again.of("note") == []
    assert len(desk.lines) == 1
    assert desk.lines[0].endswith(" look")
    assert not re.search(r"""["'&|<>^%$`;(){}]""", desk.lines[0])


def test_the_home_is_private_before_anything_is_in_it(desk: Desk, machine: Machine) -> None:
    wide: list[str] = []
    born = machine.drive.born

    def watching(path: str, owner: str = "", closed: str = "") -> None:
        born(path, owner, closed)
        if machine.drive.key(path).startswith(HOME.lower() + "\\"):
            descriptor = machine.drive.descriptor(path)
            if {ace.sid for ace in descriptor.aces} - {ADMINISTRATORS, SYSTEM}:
                wide.append(path)

    machine.drive.born = watching  # type: ignore[method-assign]
    desk.ask()
    assert not wide


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_takes_the_same_lines(desk: Desk, machine: Machine, shell: str) -> None:
    """But cmd.exe is what it should be, and that is said, once."""
    if SHELLS[shell]:
        machine.registry.set(r"HKLM\SOFTWARE\OpenSSH", "DefaultShell", SZ, SHELLS[shell])
    machine.profile_line = "Guten Morgen, Anna\r\n"
    desk.wants(FILE.format("a.yaml", "a: 1\n"))
    first = desk.converged()
    assert first.of("changed") == [r"C:\litellm\a.yaml"]
    notes = [note for note in first.of("note") if "DefaultShell" in note]
    assert len(notes) == (1 if SHELLS[shell] else 0)
    desk.converged()
    assert len(desk.lines) == 1


def test_a_machine_without_internet_gets_python_from_the_desk(desk: Desk, machine: Machine) -> None:
    def offline(process: Process) -> int:
        process.say("curl: (6) Could not resolve host: www.python.org\r\n", error=True)
        return 6

    machine.processes.install(CURL, offline)
    desk.ask()
    assert len(agents(machine)) == 1
    assert len(desk.shop.asked) == 1
    machine.drive.wipe(PLACE)
    desk.ask()
    assert len(desk.shop.asked) == 1  # the desk keeps it


def test_another_archive_is_not_unpacked(desk: Desk, machine: Machine) -> None:
    desk.has_runtime(sha256="0" * 64)
    sentence = desk.refused()
    assert "has the sha256 " + hashlib.sha256(archive()).hexdigest() in sentence
    assert "nothing was installed" in sentence
    assert not machine.drive.exists(PLACE)


def test_an_archive_that_changes_on_the_way_is_refused(desk: Desk, machine: Machine) -> None:
    def changed(process: Process) -> int:
        process.machine.drive.write(process.arguments[process.arguments.index("-o") + 1], b"PK other")
        return 0

    machine.processes.install(CURL, changed)
    desk.ask()  # by the desk then
    assert machine.drive.read(rf"{PLACE}\python312.dll") == b"MZ" * 4000


@pytest.mark.parametrize(("named", "kind"), [("ARMv8 (64-bit) Family 8", "ARM64"), ("x86 Family 6 Model 1", "x86")])
def test_another_processor_is_said(desk: Desk, machine: Machine, named: str, kind: str) -> None:
    machine.registry.set(r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor\0", "Identifier", SZ, named)
    sentence = desk.refused()
    assert kind in sentence
    assert not machine.drive.exists(PLACE)


def test_a_user_who_may_not_is_told_so(desk: Desk, machine: Machine) -> None:
    machine.elevated = False
    sshkeys_of_user = rf"C:\Users\{machine.user}\.ssh\authorized_keys"
    machine.drive.write(sshkeys_of_user, machine.drive.read(sshkeys.ADMINISTRATORS_KEYS))
    assert "administrator" in desk.refused()


@pytest.mark.parametrize("step", range(9))
def test_cut_at_any_step_the_next_run_finishes(desk: Desk, machine: Machine, step: int) -> None:
    """The link drops when that line is said, or right after it was done."""
    composed, done = desk.door.composed, [0]

    def cut(command: str) -> tuple[str, str]:
        done[0] += 1
        if done[0] == step + 1:
            for each in list(desk.door.clients):
                each.abort()
        return composed(command)

    desk.door.composed = cut  # type: ignore[method-assign]
    with pytest.raises(link.Unreachable, match="converge again"):
        desk.ask()
    desk.door.composed = composed  # type: ignore[method-assign]
    desk.ask()
    assert len(agents(machine)) == 1
    left = {each.name for each in machine.drive.real(HOME).iterdir()}
    assert not any(name.endswith((".zip", ".new")) for name in left)
    desk.ask()
    assert len(desk.lines) == 1


def test_half_of_python_is_not_named(desk: Desk, machine: Machine) -> None:
    tar = machine.processes.programs[machine.drive.key(r"C:\Windows\System32\tar.exe")]

    def full(process: Process) -> int:
        tar(process)
        machine.drive.real(rf"{PLACE}.new\python312.dll").unlink()
        return 0

    machine.processes.install(r"C:\Windows\System32\tar.exe", full)
    assert "python312.dll is not whole" in desk.refused()
    assert not machine.drive.exists(PLACE)
    machine.processes.install(r"C:\Windows\System32\tar.exe", tar)
    desk.ask()


@pytest.mark.parametrize("content", [b"", b"MZ"])
def test_an_agent_that_is_broken_is_brought_again(desk: Desk, machine: Machine, content: bytes) -> None:
    desk.ask()
    (name,) = agents(machine)
    machine.drive.write(rf"{HOME}\{name}", content)
    desk.ask()
    (name,) = agents(machine)
    assert len(machine.drive.read(rf"{HOME}\{name}")) > 1000


def test_older_agents_go_and_one_in_use_stays(desk: Desk, machine: Machine) -> None:
    desk.ask()
    machine.drive.real(rf"{HOME}\{agents(machine)[0]}").unlink()
    machine.drive.write(rf"{HOME}\agent-0123456789ab.pyz", b"PK old")
    machine.drive.write(rf"{HOME}\agent-ba9876543210.pyz", b"PK in use")
    machine.drive.locked.add(machine.drive.key(rf"{HOME}\agent-ba9876543210.pyz"))
    desk.ask()
    assert "agent-ba9876543210.pyz" in agents(machine)
    assert "agent-0123456789ab.pyz" not in agents(machine)


def test_a_large_change_goes_by_sftp(desk: Desk, machine: Machine) -> None:
    """And leaves nothing behind; nobody else may read it on its way."""
    content = b"x" * 300_000
    encoded, sha256 = base64.b64encode(content).decode(), hashlib.sha256(content).hexdigest()
    request = {"kind": "file", "id": r"C:\litellm\large", "verb": "ensure", "access": "administrators", "run": RUN}
    desk.ask("do", {**request, "content": encoded, "sha256": sha256})
    assert machine.drive.read(r"C:\litellm\large") == content
    assert not list(machine.drive.real(rf"{HOME}\staged").iterdir())
    allowed = {ace.sid for ace in machine.drive.descriptor(rf"{HOME}\staged").aces}
    assert allowed == {ADMINISTRATORS, SYSTEM}


def test_the_end_of_stdin_may_be_lost(desk: Desk, machine: Machine) -> None:
    desk.door.manners.loses_end = True
    assert desk.ask()["machine"]["os"] == "windows"


def test_the_lines_hold_nothing_that_a_shell_would_touch() -> None:
    assert arrival.shielded(r"C:\a\b.exe look") == r"C:\\a\\b.exe look"
    assert security.ADMINISTRATORS in arrival.ADMINISTRATORS
