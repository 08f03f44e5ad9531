"""Compose projects, against a `docker` that replays what the real one prints and keeps a little state.

The lab's suites prove the same code against a real engine and a real gateway.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploys.agent.errors import Refused
from deploys.agent.home import Home
from deploys.agent.kinds.asking import value_in
from deploys.agent.kinds.dockers import Docker as DockerCli
from deploys.agent.kinds.dockers import unfinished
from deploys.agent.main import Agent
from deploys.agent.posix.system import Posix

from .conftest import Put
from .support import MINE, closed_port, file_request, sha256, speaks_ssh

RECORDED = (Path(__file__).parent / "data" / "docker_ps.json").read_text()
ROW = json.loads(RECORDED)
PROJECT, IMAGE, KEY = "litellm", "ghcr.io/berriai/litellm:v1@sha256:" + "0" * 64, "sk-very-secret"

# `up` makes a new container; the answers to the rest lie in files of the state folder.
DOCKER = """
cd {state}; echo "$@" >> log
[ -e away ] && {{ echo "Cannot connect to the Docker daemon. Is it running?" >&2; exit 1; }}
case "$*" in
"version "*) echo 28.0.4;;
"compose version --short") [ -e plugin ] && echo 2.30.1 || {{ echo "docker: unknown command: docker compose" >&2; exit 1; }};;
"ps "*) cat ps 2>/dev/null || true;;
"image inspect "*) [ -e image ];;
"image rm "*) rm -f image;;
"pull "*) cat pull; [ ! -e pull_fails ];;
*"--project-name "*" up "*) [ -e up_fails ] && {{ echo "yaml: line 3: bad" >&2; exit 15; }}
   [ -e other_compose ] && {{ mv other_compose half; cat half >> ps; }}
   grep -qs '"Names":"[0-9a-f]*_' ps && {{ cat conflict >&2; exit 1; }}
   number=$(($(cat number 2>/dev/null || echo 0) + 1)); echo $number > number
   sed "s/b13a45/$number/; s#t-base#$(cat wanted)#" row > ps;;
"inspect "*) cat restarts;;
"logs "*) cat logs; cat logs_err >&2;;
"rm --force "*) grep -v "$3" ps > left; mv left ps;;
"network ls "*) echo net1;;
"network rm net1") exit 0;;
*) echo "unexpected: $*" >&2; exit 99;;
esac
"""  # noqa: E501
CONFLICT = (
    'Error response from daemon: Conflict. The container name "/b13a45e29cbc_rec-me" is already in use by container '
    '"00". You have to remove (or rename) that container to be able to reuse that name.'
)
PULLED = """\
v1: Pulling from berriai/litellm
a1: Pulling fs layer
b2: Pulling fs layer
a1: Already exists
b2: Download complete
b2: Pull complete
Digest: sha256:00
Status: Downloaded newer image
"""


class Docker:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        files = {"row": RECORDED, "wanted": IMAGE, "pull": PULLED, "restarts": "0", "logs": "", "logs_err": ""}
        files["conflict"] = CONFLICT
        for name, text in {**files, "plugin": "", "image": ""}.items():
            self.put(name, text)

    def put(self, name: str, text: str = "") -> None:
        (self.folder / name).write_text(text)

    def drop(self, name: str) -> None:
        (self.folder / name).unlink()

    @property
    def asked(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def docker(tmp_path: Path, put_program: Put) -> Docker:
    put_program("docker", DOCKER.format(state=tmp_path / "docker"))
    return Docker(tmp_path / "docker")


Reply = tuple[int, bytes]


@contextlib.contextmanager
def gateway(well: Callable[[], bool] = lambda: True, token: Callable[[str], Reply] | None = None) -> Iterator[str]:
    """/health while `well()`; /v1/chat/completions as `token(authorization)` says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(200 if well() else 503, b"")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            assert token
            self.reply(*token(self.headers["Authorization"]))

        def reply(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def ensure(agent: Agent, url: str, progress: Any = lambda _: None, **more: Any) -> Any:
    request: dict[str, Any] = {"kind": "compose", "id": PROJECT, "verb": "ensure", "spec": {"answers": f"{url}/health"}}
    request |= {"file": "/opt/litellm/compose.yaml", "image": IMAGE, "inputs": {}, "within_s": 1, "ask": None}
    return agent.work({**request, **more}, progress)["compose"][PROJECT]


def look(agent: Agent, url: str) -> Any:
    return agent.kinds["compose"].look({PROJECT: {"answers": f"{url}/health"}})[PROJECT]


def write(agent: Agent, path: Path, text: str) -> dict[str, str]:
    proof = {"proven_by": ["compose", PROJECT], "verb": "ensure"}
    agent.work({**file_request(path, text, MINE), **proof}, lambda _: None)
    return {str(path): sha256(text.encode())}


def test_recorded_row(docker: Docker, system: Posix) -> None:
    docker.put("ps", RECORDED + RECORDED)
    found = DockerCli(system).containers(PROJECT)
    assert [(each["ID"], each["Image"], each["State"]) for each in found] == [(ROW["ID"], "t-base", "running")] * 2
    assert docker.asked == ["ps --all --no-trunc --filter label=com.docker.compose.project=litellm --format {{json .}}"]


def test_nothing_there(agent: Agent, docker: Docker) -> None:
    assert look(agent, "http://127.0.0.1:1") is None


def test_started_and_seen(agent: Agent, docker: Docker, home: Home) -> None:
    with gateway() as url:
        state = ensure(agent, url, inputs={"/x": "00"})
        wanted = {"image": IMAGE, "running": True, "answers": True, "untouched": True, "inputs": {"/x": "00"}}
        assert state == look(agent, url) == wanted
    assert home.entry("compose", PROJECT)["spec"] == {"answers": f"{url}/health"}
    up = "compose --project-name litellm --file /opt/litellm/compose.yaml up --detach --force-recreate --remove-orphans"
    assert up in docker.asked
    assert look(agent, url)["answers"] is False


def test_container_that_somebody_changed(agent: Agent, docker: Docker) -> None:
    with gateway() as url:
        ensure(agent, url)
        row = (docker.folder / "ps").read_text()
        docker.put("ps", row.replace('"ID":"1', '"ID":"f'))
        assert look(agent, url)["untouched"] is False
        docker.put("ps", row + row)
        assert look(agent, url)["untouched"] is False
        docker.put("ps", row.replace('"running"', '"exited"'))
        assert (look(agent, url)["running"], look(agent, url)["answers"]) == (False, False)


def row(number: str, name: str = "litellm-litellm-1", state: str = "running") -> dict[str, str]:
    """One of `docker ps`, reduced to what tells containers apart."""
    return {"ID": number * 64, "Names": name, "State": state}


class TestHalfMade:
    """What a Compose that was ended in the middle leaves behind stands in the way of every later one."""

    OLD, HALF = row("a"), row("b", "aaaaaaaaaaaa_litellm-litellm-1", "created")

    @pytest.mark.parametrize(
        ("found", "left_over"),
        [
            ([OLD], []),
            ([OLD, HALF], [HALF]),
            ([HALF], [HALF]),  # the old one was gone already
            ([{**OLD, "State": "exited"}, HALF], [HALF]),
            ([OLD, {**HALF, "State": "running"}], [{**HALF, "State": "running"}]),  # somebody started it by hand
            ([{**HALF, "State": "running"}], []),  # it is all that serves
            ([{**OLD, "State": "exited"}, {**HALF, "State": "running"}], []),
            # Compose 1 renames the old one instead, after itself
            ([row("a", "aaaaaaaaaaaa_litellm-litellm-1"), row("b", state="created")], []),
            ([row("a", state="created")], []),
            ([row("a", "my_litellm", "created")], []),
        ],
    )
    def test_what_counts(self, found: list[dict[str, str]], left_over: list[dict[str, str]]) -> None:
        assert unfinished(found) == left_over

    @staticmethod
    def half_of(docker: Docker) -> str:
        """A half-made replacement of what runs."""
        old = json.loads((docker.folder / "ps").read_text())
        half = {**old, "ID": "c" * 64, "Names": f"{old['ID'][:12]}_rec-me", "State": "created"}
        return json.dumps(half, separators=(",", ":")) + "\n"

    def test_goes_before_the_next_start(self, agent: Agent, docker: Docker) -> None:
        with gateway() as url:
            ensure(agent, url)
            docker.put("ps", self.half_of(docker) + (docker.folder / "ps").read_text())  # docker tells youngest first
            found = look(agent, url)
            assert (found["running"], found["answers"], found["untouched"]) == (True, True, False)
            assert ensure(agent, url)["untouched"]
        assert [each for each in docker.asked if each.startswith("rm")] == [f"rm --force {'c' * 64}"]

    def test_made_by_another_just_now_goes_too(self, agent: Agent, docker: Docker) -> None:
        with gateway() as url:
            ensure(agent, url)
            docker.put("other_compose", self.half_of(docker))
            assert ensure(agent, url)["untouched"]
        assert [each for each in docker.asked if each.startswith("rm")] == [f"rm --force {'c' * 64}"]

    def test_conflict_with_something_else_is_told(self, agent: Agent, docker: Docker) -> None:
        docker.put("up_fails")
        with gateway() as url, pytest.raises(Refused, match="yaml: line 3"):
            ensure(agent, url)
        assert sum(" up " in each for each in docker.asked) == 1


def test_image_is_pulled_with_progress_when_it_is_missing(agent: Agent, docker: Docker) -> None:
    docker.drop("image")
    said: list[str] = []
    with gateway() as url:
        ensure(agent, url, lambda state: said.append(state["what"]))
    assert f"pull {IMAGE}" in docker.asked
    assert said[0] == "pulling the image, 0 of 0 layers"
    assert "pulling the image, 1 of 2 layers" in said
    assert said[-3:] == ["pulling the image, 2 of 2 layers", "starting", "waiting until it answers"]


def test_image_that_cannot_be_pulled_leaves_what_runs(agent: Agent, docker: Docker, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    with gateway() as url:
        ensure(agent, url, inputs=write(agent, config, "v1"))
        docker.drop("image")
        docker.put("pull", "Error response from daemon: connect: connection refused\n")
        docker.put("pull_fails")
        with pytest.raises(Refused) as caught:
            ensure(agent, url, inputs=write(agent, config, "v2"))
    assert caught.value.what == f"pull image {IMAGE}"
    assert caught.value.why == "Error response from daemon: connect: connection refused"
    assert config.read_text() == "v1"


def test_older_image_goes_when_a_new_one_runs(agent: Agent, docker: Docker) -> None:
    with gateway() as url:
        ensure(agent, url, image="old:1@sha256:1")
        ensure(agent, url)
        ensure(agent, url)
    assert [each for each in docker.asked if each.startswith("image rm")] == ["image rm old:1@sha256:1"]


class TestSick:
    @pytest.fixture
    def config(self, tmp_path: Path) -> Path:
        return tmp_path / "config.yaml"

    def test_goes_back_to_the_last_good_files(self, agent: Agent, docker: Docker, config: Path, home: Home) -> None:
        docker.put("logs_err", "starting\nValueError: no such model\nbye\n")
        with gateway(lambda: config.read_text() == "good") as url:
            ensure(agent, url, inputs=write(agent, config, "good"))
            assert home.entry("file", str(config))["unproven"] is False
            with pytest.raises(Refused) as caught:
                ensure(agent, url, inputs=write(agent, config, "bad"))
            assert look(agent, url)["answers"] is True
        assert caught.value.why == (
            f"it does not answer at {url}/health within 1 s: it last said: ValueError: no such model; "
            "the last good config.yaml put back, and it answers again"
        )
        assert config.read_text() == "good"
        assert (docker.folder / "number").read_text() == "3\n"

    def test_keeps_falling_over_is_told_sooner(self, agent: Agent, docker: Docker) -> None:
        docker.put("restarts", "3")
        url = f"http://127.0.0.1:{closed_port()}"
        with pytest.raises(Refused, match="it fell over 3 times: it said nothing"):
            ensure(agent, url, within_s=30)

    def test_stays_sick_after_going_back(self, agent: Agent, docker: Docker, config: Path) -> None:
        healthy = [True]
        with gateway(lambda: healthy[0]) as url:
            ensure(agent, url, inputs=write(agent, config, "good"))
            healthy[0] = False
            docker.put("restarts", "4")
            with pytest.raises(Refused, match="put back, but it is still sick"):
                ensure(agent, url, inputs=write(agent, config, "new"))

    def test_compose_file_that_is_refused(self, agent: Agent, docker: Docker) -> None:
        docker.put("up_fails")
        with pytest.raises(Refused, match="Docker Compose says: yaml: line 3: bad"):
            ensure(agent, "http://127.0.0.1:1")


class TestToken:
    """One token through the door, with a key that never leaves the machine and is in no message."""

    @pytest.fixture
    def key_file(self, tmp_path: Path) -> Path:
        path = tmp_path / "gateway.env"
        path.write_text(f"OTHER=x\nMASTER_KEY={KEY}\n")
        return path

    def ask(self, agent: Agent, door: str, key_file: Path, **more: Any) -> Any:
        ask = {"url": f"{door}/v1/chat/completions", "model": "local", "key_file": str(key_file)}
        return ensure(agent, door, ask={**ask, "key_name": "MASTER_KEY", "within_s": 2, **more})

    def test_comes(self, agent: Agent, docker: Docker, key_file: Path) -> None:
        heard: list[str] = []

        def token(authorization: str) -> Reply:
            heard.append(authorization)
            return 200, b'{"choices": [{"message": {"content": "hi"}}]}'

        with gateway(token=token) as url:
            assert self.ask(agent, url, key_file)["running"]
        assert heard == [f"Bearer {KEY}"]
        assert not any(KEY in each for each in docker.asked)

    @pytest.mark.parametrize(
        ("reply", "why"),
        [
            ((401, f"bad key {KEY}".encode()), "it says 401: bad key ***"),
            ((200, b"{}"), "choices"),
            ((200, b"<html>"), "Expecting value"),
            ((200, b"null"), "not subscriptable"),
        ],
    )
    def test_does_not_come(self, reply: Reply, why: str, agent: Agent, docker: Docker, key_file: Path) -> None:
        with gateway(token=lambda _: reply) as url, pytest.raises(Refused) as caught:
            self.ask(agent, url, key_file)
        assert caught.value.what == f"get a token from {PROJECT}"
        assert why in caught.value.why
        assert KEY not in str(caught.value)

    def test_door_that_speaks_no_http(self, agent: Agent, docker: Docker, key_file: Path) -> None:
        with gateway() as url, speaks_ssh() as other, pytest.raises(Refused, match="get a token"):
            self.ask(agent, url, key_file, url=other)

    def test_key_that_is_not_there(self, key_file: Path) -> None:
        assert value_in(str(key_file), "MASTER_KEY") == KEY
        with pytest.raises(Refused, match="does not name it"):
            value_in(str(key_file), "MASTER")
        with pytest.raises(Refused, match="No such file"):
            value_in("/no/such/file", "MASTER_KEY")


def test_removal(agent: Agent, docker: Docker, home: Home) -> None:
    with gateway() as url:
        ensure(agent, url)
    before = len(docker.asked)
    container = json.loads((docker.folder / "ps").read_text())["ID"]
    agent.work({"kind": "compose", "id": PROJECT, "verb": "remove"}, lambda _: None)
    did = [each for each in docker.asked[before:] if not each.startswith(("ps", "network ls"))]
    assert did == [f"rm --force {container}", "network rm net1", f"image rm {IMAGE}"]
    assert home.manifest() == []


def test_older_compose_is_a_program_of_its_own(agent: Agent, docker: Docker, put_program: Put) -> None:
    docker.drop("plugin")
    put_program("docker-compose", 'exec docker compose "$@"')
    with gateway() as url:
        assert ensure(agent, url)["running"]


def test_machine_without_compose(
    agent: Agent, docker: Docker, put_program: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.drop("plugin")
    monkeypatch.setenv("PATH", f"{put_program('sh', 'exec /bin/sh').parent}:/nowhere")
    put_program("docker", "exit 1")
    put_program("docker", '[ "$1 $2" = "image inspect" ] || [ "$1" = ps ] || [ "$1" = version ]')
    with pytest.raises(Refused, match="use Docker Compose"):
        ensure(agent, "http://127.0.0.1:1")


class TestEngine:
    """On some machines it comes only with a logon: a plan still sees the rest, and a converge waits."""

    AWAY = "Docker does not answer: Cannot connect to the Docker daemon. Is it running?"

    @pytest.fixture
    def away(self, agent: Agent, docker: Docker) -> None:
        with gateway() as url:
            ensure(agent, url)
        docker.put("away")

    @pytest.mark.usefixtures("away")
    def test_that_is_away_is_told(self, agent: Agent) -> None:
        found = look(agent, "http://127.0.0.1:1")
        assert (found["running"], found["trouble"]) == (False, self.AWAY)
        with pytest.raises(Refused) as caught:
            ensure(agent, "http://127.0.0.1:1")
        assert (caught.value.what, caught.value.why) == ("use Docker", self.AWAY)
        assert caught.value.fix == "see that Docker runs on this machine, then converge again"

    @pytest.mark.usefixtures("away")
    def test_that_comes_is_waited_for(self, agent: Agent, docker: Docker) -> None:
        agent.kinds["compose"].docker.patience_s = 20
        said: list[str] = []

        def progress(state: dict[str, str]) -> None:
            said.append(state["what"])
            (docker.folder / "away").unlink(missing_ok=True)

        with gateway() as url:
            assert ensure(agent, url, progress)["running"]
        assert said[0] == "waiting for Docker"

    def test_on_a_machine_without_docker(self, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        assert look(agent, "http://127.0.0.1:1") is None
        with pytest.raises(Refused, match="there is no docker on this machine"):
            ensure(agent, "http://127.0.0.1:1")
        assert agent.work({"kind": "compose", "id": PROJECT, "verb": "remove"}, lambda _: None)


def test_restarts_of_nothing(docker: Docker, system: Posix) -> None:
    assert DockerCli(system).restarts_of(PROJECT) == 0
