"""What the lab's stand-ins of Docker, Ollama and Tailscale must do, with small programs below in place of real ones."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .must import must
from .standin import dockerdesktop, programs
from .standin.dockerdesktop import CLI, DESKTOP
from .standin.machine import USER_SID, Machine
from .standin.processes import Process, wrapped
from .standin.security import EVERYONE, LOCAL_SERVICE
from .standin.use import Said, tool, until

ENGINE_PIPE = "npipe:////./pipe/dockerDesktopLinuxEngine"
BELOW = """#!{python}
import json, os, sys
words = sys.argv[1:]
if words[:1] == ["status"]:
    print(json.dumps({{"BackendState": os.environ.get("STATE", "NeedsLogin")}}))
    sys.exit(1)
if words[:1] == ["pull"] and json.load(open(os.environ["DOCKER_CONFIG"] + "/config.json")).get("credsStore"):
    print("error getting credentials - err: exit status 1", file=sys.stderr)
    sys.exit(1)
if words[:1] == ["run"]:
    print("listen tcp4 100.64.0.9:1: bind: cannot assign requested address", file=sys.stderr)
    sys.exit(125)
print(" ".join(words))
"""
SERVER = """#!{python}
import os, subprocess, sys, time
host, port = os.environ["OLLAMA_HOST"].split(":")
sys.stderr.write("Listening on " + os.environ["OLLAMA_MODELS"] + "\\n")
sys.stderr.flush()
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""


class Engine:
    """Docker's engine, without one."""

    speaks_old = False

    def __init__(self) -> None:
        self.held: Process | None = None

    def runs(self) -> bool:
        return self.held is not None and self.held.alive

    def start(self, process: Process) -> bool:
        self.held = process
        return True

    def stop(self) -> None:
        self.held = None


@pytest.fixture
def below(machine: Machine, tmp_path: Path) -> Iterator[Path]:
    programs.install(machine)
    dockerdesktop.install(machine, "4.93.0")
    machine.engine = Engine()  # type: ignore[assignment]
    path = tmp_path / "below"
    path.write_text(BELOW.format(python=sys.executable))
    path.chmod(0o755)
    machine.programs_below = dict.fromkeys(machine.programs_below, str(path))
    yield path
    machine.processes.close()


def docker(machine: Machine, *words: str, **more: object) -> Said:
    return tool(machine, CLI, *words, encoding="utf-8", **more)


def logged_on(machine: Machine) -> None:
    machine.processes.start([DESKTOP], None, machine.session(), machine.user_sids, session=1)
    until(machine.engine.runs)


@must("ssh 22")
def test_docker_that_does_not_answer(machine: Machine, below: Path) -> None:
    for old, words in ((False, "failed to connect to the docker API at npipe"), (True, "error during connect: Get")):
        machine.engine.speaks_old = old
        said = docker(machine, "ps", environment={"DOCKER_HOST": ENGINE_PIPE})
        assert said.code == 1
        assert words in said.err
        assert machine.say("The system cannot find the file specified.") in said.err
        assert "dockerDesktopLinuxEngine" in said.err
    logged_on(machine)
    assert docker(machine, "ps").out == "ps\n"
    refused = docker(machine, "ps", sids=frozenset({LOCAL_SERVICE, EVERYONE}))
    assert "must be run with elevated privileges" in refused.err
    assert machine.say("Access is denied.") in refused.err
    assert docker(machine, "ps", sids=frozenset({USER_SID, EVERYONE})).code == 0
    assert "error getting credentials" in docker(machine, "pull", "hello-world").err
    own = {"DOCKER_CONFIG": r"C:\own", "DOCKER_HOST": ENGINE_PIPE}
    machine.drive.write(r"C:\own\config.json", "{}")
    assert docker(machine, "pull", "hello-world", environment=own).code == 0
    machine.drive.write(r"C:\own\config.json", json.dumps({"currentContext": "desktop-linux"}))
    gone = docker(machine, "ps", environment={"DOCKER_CONFIG": r"C:\own"})
    assert 'Current context "desktop-linux" is not found on the file system' in gone.err
    assert r"C:\own\config.json" in gone.err


@must("ssh 23")
def test_docker_desktop_wants_somebody(machine: Machine, below: Path) -> None:
    """The container that stays created, and that nothing heals it, is the real engine's own way."""
    process = machine.processes.start([CLI, "desktop", "start"], machine.process())
    assert not process.ended.wait(0.5)
    assert not machine.engine.runs()
    assert tool(machine, DESKTOP).code == 1  # without a session of a person
    machine.processes.end(process, 1)
    logged_on(machine)
    said = docker(machine, "run", "-p", "100.64.0.9:1:1", "x")
    assert said.code == 125
    assert "bind: The requested address is not valid in its context." in said.err
    for each in machine.processes.find("com.docker.backend.exe"):
        machine.processes.end(each, 0)
    until(lambda: not machine.engine.runs())


@must("ssh 24")
def test_ollama(machine: Machine, below: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        machine.drive.write(r"C:\o\ollama.exe", wrapped("ollama"))
        server = r"C:\o\lib\ollama\runtime\bin\ollama"
        machine.drive.write(server, SERVER.format(python=sys.executable))
        told = {"OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": r"C:\o\models"}
        said = tool(machine, r"C:\o\ollama.exe", "serve", environment=told)
        assert (said.code, said.out) == (1, "")
        assert "Only one usage of each socket address" in said.err
    absent = tool(machine, r"C:\o\ollama.exe", "serve", environment={**told, "OLLAMA_HOST": "100.64.0.9:1234"})
    assert absent.code == 1
    assert "The requested address is not valid in its context." in absent.err
    running = machine.processes.start([r"C:\o\ollama.exe", "serve"], machine.process(), told)
    until(lambda: machine.processes.find("llama-server.exe"), 20)
    until(lambda: b"Listening" in running.err)
    assert str(machine.drive.folder).encode() in running.err  # what is real sees the real folder
    assert not running.out
    machine.processes.end(running, 1)
    (left,) = machine.processes.find("llama-server.exe")
    assert not left.ended.wait(0.3)
    machine.processes.end(left, 1)


@must("ssh 25")
def test_tailscale(machine: Machine, below: Path) -> None:
    said = tool(machine, programs.TAILSCALE, "status", "--json")
    assert said.code == 0
    assert json.loads(said.out)["BackendState"] == "NeedsLogin"
    assert tool(machine, programs.TAILSCALE, "status").code == 1
    assert tool(machine, programs.TAILSCALE, "set", "--unattended").code == 0
    assert '"ForceDaemon": true' in tool(machine, programs.TAILSCALE, "debug", "prefs").out
    machine.registry.set(programs.IPN, "User", 1, "Bert")
    second = tool(machine, programs.TAILSCALE, "status", "--json")
    assert second.code == 1
    assert "401 Unauthorized: Tailscale already in use" in second.err
