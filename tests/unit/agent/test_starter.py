"""The starter of a Compose project, against the `docker` of test_containers: it waits, starts, and tries again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.home import Home
from deploys.agent.kinds import starter
from deploys.agent.posix.system import Posix

from .conftest import Put
from .support import RUN, Packed
from .test_containers import DOCKER, PROJECT, Docker, gateway

ABSENT = "100.127.255.254"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "FIRST_PAUSE_S", 0.05)
    monkeypatch.setattr(starter, "LONGEST_PAUSE_S", 0.1)


@pytest.fixture
def docker(tmp_path: Path, put_program: Put) -> Docker:
    put_program("docker", DOCKER.format(state=tmp_path / "docker"))
    return Docker(tmp_path / "docker")


def order(home: Home, url: str, **more: Any) -> dict[str, Any]:
    made = {"project": PROJECT, "file": "/opt/litellm/compose.yaml", "address": "127.0.0.1", "home": home.directory}
    return {**made, "answers": f"{url}/health", "within_s": 0.5, **more}


def ups(docker: Docker) -> int:
    return sum(" up " in each for each in docker.asked)


def started(docker: Docker) -> Callable[[], bool]:
    return (docker.folder / "ps").exists


def run_until(system: Posix, wanted: dict[str, Any], then: Callable[[], None], after_s: float = 0.4) -> int:
    timer = threading.Timer(after_s, then)
    timer.start()
    code = starter.Starter(system, wanted).run()
    timer.join()
    return code


def test_what_answers_is_left_alone(system: Posix, home: Home, docker: Docker) -> None:
    with gateway() as url:
        assert starter.Starter(system, order(home, url)).run() == 0
    assert docker.asked == []


def test_starts_without_making_a_sound_container_anew(system: Posix, home: Home, docker: Docker) -> None:
    with gateway(started(docker)) as url:
        assert starter.Starter(system, order(home, url)).run() == 0
    up = "compose --project-name litellm --file /opt/litellm/compose.yaml up --detach --remove-orphans"
    assert [each for each in docker.asked if " up " in each] == [up]


def test_waits_for_docker_and_says_so_once(
    system: Posix, home: Home, docker: Docker, capfd: pytest.CaptureFixture[str]
) -> None:
    docker.put("away")
    with gateway(started(docker)) as url:
        assert run_until(system, order(home, url), lambda: docker.drop("away")) == 0
    said = capfd.readouterr().out
    assert said.count("waiting: Docker does not answer: Cannot connect to the Docker daemon. Is it running?") == 1
    assert f"{PROJECT} answers at" in said
    assert ups(docker) == 1


def test_waits_for_its_address(system: Posix, home: Home, docker: Docker, capfd: pytest.CaptureFixture[str]) -> None:
    wanted = order(home, "", address=ABSENT)
    with gateway(started(docker)) as url:
        wanted["answers"] = f"{url}/health"
        assert run_until(system, wanted, lambda: wanted.update(address="127.0.0.1")) == 0
    assert f"waiting: this machine does not have the address {ABSENT}" in capfd.readouterr().out
    assert ups(docker) == 1


def test_leaves_the_start_to_a_desk_that_converges(
    system: Posix, home: Home, docker: Docker, capfd: pytest.CaptureFixture[str]
) -> None:
    home.take_lease(RUN)
    with gateway(started(docker)) as url:
        lease = Path(home.path("lease.json"))
        assert run_until(system, order(home, url), lease.unlink) == 0
    assert "waiting: a desk is converging this machine" in capfd.readouterr().out
    assert ups(docker) == 1


def test_tries_again_when_it_fails_and_when_it_is_sick(
    system: Posix, home: Home, docker: Docker, capfd: pytest.CaptureFixture[str]
) -> None:
    """A bind that failed, then a container that falls over: both are said, and the third time it is well."""
    docker.put("up_fails")
    docker.put("logs", "ValueError: no such model\n")
    healthy = threading.Event()
    threading.Timer(0.4, lambda: docker.drop("up_fails")).start()
    threading.Timer(1.5, healthy.set).start()
    with gateway(healthy.is_set) as url:
        assert starter.Starter(system, order(home, url)).run() == 0
    said = capfd.readouterr().out
    assert f"{PROJECT} does not start: Docker Compose says: yaml: line 3: bad" in said
    assert "it last said: ValueError: no such model" in said


def test_order_that_cannot_be_read(system: Posix, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert starter.start(system, str(tmp_path / "none.json")) == 1
    assert "converge this machine" in capfd.readouterr().out


def test_is_a_verb_of_the_agent(packed: Packed, home: Home, docker: Docker, tmp_path: Path) -> None:
    """As the task runs it: a process of its own, whose words go to a log."""
    path = tmp_path / "start.json"
    with gateway(started(docker)) as url:
        path.write_text(json.dumps(order(home, url)))
        system, log = Posix(), tmp_path / "log"
        system.detach([*packed.command, "start-compose", str(path)], str(log))
        end = time.monotonic() + 20
        while "answers at" not in log.read_text() and time.monotonic() < end:
            time.sleep(0.05)
    assert f"{PROJECT} answers at" in log.read_text()
