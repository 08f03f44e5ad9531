"""Docker on the stand-in Windows: found and reached from an SSH session, and started with the machine by a task.

`docker.exe` is a program of this test: it answers as Docker Desktop's does with and without its engine (FIXTURES.md).
The lab puts a real engine behind the same path.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploys.operations import compose
from deploys.schema import Agent
from tests.unit.agent.test_containers import ROW

from .benches import StandInBench, until
from .standin import dockerdesktop, security
from .standin.machine import PYTHON, USER_SID, Machine
from .standin.processes import Process
from .standin.python import World

PROJECT, IMAGE = "litellm", "ghcr.io/berriai/litellm:v1@sha256:" + "0" * 64
ABSENT, FILE = "100.127.255.254", r"C:\litellm\compose.yaml"
HOME = r"C:\ProgramData\ssh\llm-harness"


class DockerExe:
    """An engine that runs or not, and a container that runs after `up`."""

    def __init__(self, machine: Machine) -> None:
        self.engine, self.up, self.address_is_there = True, False, True
        self.asked: list[list[str]] = []
        self.seen: list[Process] = []
        machine.processes.install(dockerdesktop.CLI, self.main)

    def main(self, process: Process) -> int:
        words = process.arguments
        self.asked.append(words)
        self.seen.append(process)
        if words[:3] == ["compose", "version", "--short"]:
            process.say("2.40.3\n")
            return 0
        if not self.engine:
            sentence = process.machine.say("The system cannot find the file specified.")
            process.say(dockerdesktop.NO_ENGINE.format("dockerDesktopLinuxEngine", sentence), error=True)
            return 1
        if "up" in words and not self.address_is_there:
            process.say(f"bind: {dockerdesktop.ABSENT}\n", error=True)
            return 1
        self.up = self.up or "up" in words
        if words[0] == "ps" and self.up:
            process.say(json.dumps({**ROW, "Names": "litellm-litellm-1", "Image": IMAGE, "State": "running"}) + "\n")
        return 0

    def ups(self) -> list[list[str]]:
        return [each for each in self.asked if "up" in each]


@pytest.fixture
def docker(machine: Machine) -> DockerExe:
    return DockerExe(machine)


@pytest.fixture
def url(docker: DockerExe) -> Iterator[str]:
    """A gateway that answers while its container runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if docker.up else 503)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/health/liveliness"
    server.shutdown()
    server.server_close()


class Kind:
    """The kind `compose` of the agent's, in an SSH session."""

    def __init__(self, bench: StandInBench, url: str) -> None:
        system = bench.load("windows.system").Windows()
        self.kind = bench.load("kinds.containers").Compose(system, bench.load("home").Home(system, bench.home))
        self.docker, self.url = self.kind.docker, url
        self.docker.patience_s = 0

    def look(self) -> Any:
        return self.kind.look({PROJECT: {"answers": self.url}})[PROJECT]

    def ensure(self) -> Any:
        request = {"id": PROJECT, "spec": {"answers": self.url}, "file": FILE, "image": IMAGE, "inputs": {}}
        return self.kind.ensure({**request, "within_s": 5, "ask": None}, lambda state: None)["compose"][PROJECT]


@pytest.fixture
def kind(bench: StandInBench, url: str) -> Kind:
    return Kind(bench, url)


def test_a_container_runs(kind: Kind, docker: DockerExe) -> None:
    assert kind.look() is None
    found = kind.ensure()
    assert (found["running"], found["answers"], found["untouched"]) == (True, True, True)
    assert docker.ups() == [
        ["compose", "--project-name", PROJECT, "--file", FILE, "up", "--detach", "--force-recreate", "--remove-orphans"]
    ]


def test_the_engine_is_reached_past_the_users_profile(kind: Kind, docker: DockerExe, machine: Machine) -> None:
    """Its context and its `credsStore` belong to the user's own session: an SSH session has neither."""
    kind.ensure()
    for each in docker.seen:
        assert each.environment["DOCKER_HOST"] in dockerdesktop.PIPES
        assert each.environment["DOCKER_CONFIG"] == rf"{HOME}\docker"
        assert each.environment["PROGRAMDATA"] == HOME, "its plugins come from where only administrators write"
    assert not machine.drive.exists(rf"{HOME}\docker\config.json")
    assert not [each for each in docker.asked if each[0] == "desktop"]  # `docker desktop start` hangs from here


def test_an_engine_that_comes_with_a_logon(
    kind: Kind, docker: DockerExe, machine: Machine, bench: StandInBench
) -> None:
    kind.ensure()
    docker.engine = False
    found = kind.look()
    assert found["running"] is False
    sentence = machine.say("The system cannot find the file specified.")
    assert found["trouble"].startswith("Docker does not answer: ")
    assert found["trouble"].endswith(f"open //./pipe/dockerDesktopLinuxEngine: {sentence}")
    with pytest.raises(bench.load("errors").Refused) as caught:
        kind.ensure()
    assert caught.value.fix.startswith("log on there, as the user of Docker Desktop")


def test_a_machine_without_docker(bench: StandInBench, machine: Machine) -> None:
    kind = Kind(bench, "http://127.0.0.1:1")
    assert kind.look() is None
    with pytest.raises(bench.load("errors").Refused, match="there is no docker on this machine"):
        kind.ensure()


class TestStarter:
    """The task that starts the container with the machine, as the data makes it."""

    AGENT = Agent(python=f"{PYTHON} -I -X utf8", home=HOME)
    NAME = "start-containers"

    @pytest.fixture
    def tasks(self, bench: StandInBench) -> Any:
        system = bench.load("windows.system").Windows()
        return bench.load("windows.tasks").Tasks(system, bench.load("home").Home(system, bench.home))

    def define(self, tasks: Any, machine: Machine, url: str, address: str = "127.0.0.1") -> Any:
        order, path = compose.start_order, r"C:\litellm\start.json"
        machine.drive.write(path, order(self.AGENT, PROJECT, file=FILE, address=address, answers=url, within_s=2))
        spec = compose.starter(self.AGENT, self.NAME, path).spec()
        return tasks.ensure({"id": self.NAME, "spec": spec, "inputs": {}, "run": False}, lambda state: None)

    def log(self, machine: Machine) -> str:
        path = rf"{HOME}\tasks\{self.NAME}\log\{self.NAME}.log"
        return machine.drive.read(path).decode() if machine.drive.exists(path) else ""

    def test_starts_it_at_boot_and_ends(self, tasks: Any, machine: Machine, docker: DockerExe, url: str) -> None:
        state = self.define(tasks, machine, url)["task"][self.NAME]
        assert (state["intact"], state["enabled"], state["running"]) == (True, True, False)
        machine.scheduler.booted()
        until(lambda: "litellm answers at" in self.log(machine))
        assert docker.ups() == [
            ["compose", "--project-name", PROJECT, "--file", FILE, "up", "--detach", "--remove-orphans"]
        ]
        assert {security.SYSTEM} <= docker.seen[-1].sids  # as the system: no password, no user's rights
        until(lambda: not tasks.look({self.NAME: {}})[self.NAME]["running"])

    def test_waits_for_the_logon(self, tasks: Any, machine: Machine, docker: DockerExe, url: str) -> None:
        """At boot the engine is not there; it comes with the session of its user, minutes or days later."""
        docker.engine = False
        self.define(tasks, machine, url)
        machine.scheduler.booted()
        until(lambda: "waiting: Docker does not answer" in self.log(machine))
        machine.scheduler.logged_on()  # another start of the task: one is enough
        docker.engine = True
        until(lambda: "litellm answers at" in self.log(machine))
        assert len(docker.ups()) == 1

    def test_waits_for_the_tailnet(self, tasks: Any, machine: Machine, docker: DockerExe, url: str) -> None:
        self.define(tasks, machine, url, address=ABSENT)
        machine.scheduler.booted()
        until(lambda: f"waiting: this machine does not have the address {ABSENT}" in self.log(machine))
        assert docker.ups() == []
        self.define(tasks, machine, url)  # a converge with another address: what waits is started again
        until(lambda: "litellm answers at" in self.log(machine), 40)

    def test_tries_again_what_docker_does_not(self, tasks: Any, machine: Machine, docker: DockerExe, url: str) -> None:
        docker.address_is_there = False
        self.define(tasks, machine, url)
        machine.scheduler.booted()
        until(lambda: f"litellm does not start: Docker Compose says: bind: {dockerdesktop.ABSENT}" in self.log(machine))
        docker.address_is_there = True
        until(lambda: "litellm answers at" in self.log(machine), 40)

    def test_leaves_what_answers_alone(self, tasks: Any, machine: Machine, docker: DockerExe, url: str) -> None:
        docker.up = True
        self.define(tasks, machine, url)
        machine.scheduler.logged_on()
        until(lambda: "litellm answers at" in self.log(machine))
        assert docker.asked == []


class TestSecrets:
    """gateway.env: Docker's backend opens it as its user, whose everyday programs are not elevated."""

    PATH = r"C:\litellm\gateway.env"
    PLAIN = frozenset({USER_SID, security.USERS})

    @pytest.fixture
    def granted(self, bench: StandInBench, world: World, machine: Machine) -> Any:
        system = bench.load("windows.system").Windows()
        machine.drive.write(self.PATH, b"MASTER_KEY=sk-x\n")

        def grant(access: str) -> Any:
            system.grant(self.PATH, access)
            assert system.access_of(self.PATH) == access
            return machine.drive.descriptor(self.PATH)

        return grant

    def test_an_administrators_file_is_shut_to_the_administrators_own_programs(self, granted: Any) -> None:
        assert not security.allows(granted("administrators"), self.PLAIN, security.READ)

    def test_one_user_reads_and_nobody_else(self, granted: Any) -> None:
        found = granted("read by Anna")
        assert security.allows(found, self.PLAIN, security.READ)
        assert not security.allows(found, self.PLAIN, security.WRITE)
        others = frozenset({"S-1-5-21-1004336348-1177238915-682003330-1002", security.USERS, security.EVERYONE})
        assert not security.allows(found, others, security.READ)
        assert security.allows(found, frozenset({security.SYSTEM}), security.WRITE)

    def test_a_user_that_is_not_there_is_told(self, granted: Any, bench: StandInBench) -> None:
        with pytest.raises(bench.load("errors").Refused, match="no user of that name"):
            granted("read by nobody")
        with pytest.raises(bench.load("errors").Refused, match="Windows calls that user Anna"):
            granted("read by ANNA")
