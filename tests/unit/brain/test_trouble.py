"""Every way in which an answer does not come: the exit code, the sentence, and what stays on stdout."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from .conftest import KEY, Brain, Stalled
from .door import Behaviour, Door, Exchange, black_hole, closed_url, open_door, refusing

ERROR = {"error": {"message": "litellm.APIError: the lane\n went away", "type": "internal", "code": "500"}}


def one_sentence(stderr: str) -> str:
    """The only line on stderr, without its newline."""
    assert stderr.startswith("brain: ")
    assert stderr.count("\n") == 1
    return stderr.rstrip("\n")


@pytest.mark.parametrize("words", [[], [""], ["  "], ["--route"], ["--nonsense", "x"], ["--route", "a b", "x"]])
def test_usage(brain: Brain, gateway: Door, words: list[str]) -> None:
    done = brain.run(*words)
    assert (done.returncode, done.stdout, gateway.asked) == (1, "", [])
    assert "brain --help" in one_sentence(done.stderr)


@pytest.mark.parametrize(
    "options", [["--private", "--premium"], ["--private", "--route", "code"], ["--local", "--premium"]]
)
def test_options_that_contradict_each_other(brain: Brain, gateway: Door, options: list[str]) -> None:
    done = brain.run(*options, "hello")
    assert (done.returncode, gateway.asked) == (1, [])
    assert "contradict" in one_sentence(done.stderr)


@pytest.mark.parametrize(
    ("status", "payload", "code", "said"),
    [
        (401, {"error": {"message": "Invalid proxy server token"}}, 3, "Invalid proxy server token"),
        (403, {"error": {"message": "key not allowed to access model"}}, 3, "key not allowed"),
        (400, {"error": {"message": "Invalid model name"}}, 3, "Invalid model name"),
        (404, {"error": 'model "x" not found'}, 3, 'model "x" not found'),
        (422, {"detail": [{"msg": "field required"}]}, 3, "field required"),
        (500, ERROR, 5, "the lane went away"),
        (429, {"error": {"message": "all deployments in cooldown"}}, 5, "cooldown"),
        (502, "<html>Bad\n Gateway</html>", 5, "Bad Gateway"),
        (503, "", 5, "does not say why"),
        (307, "", 5, "307"),
        (200, {"surprise": 1}, 4, "finish_reason"),
        (200, ERROR, 5, "the lane went away"),
    ],
)
def test_the_servers_sentence(  # noqa: PLR0917
    brain: Brain, gateway: Door, ollama: Door, status: int, payload: object, code: int, said: str
) -> None:
    gateway.behaviour = refusing(status, payload)
    done = brain.run("hello")
    assert (done.returncode, done.stdout, ollama.asked) == (code, "", [])
    sentence = one_sentence(done.stderr)
    assert said in sentence
    assert gateway.url.removeprefix("http://") in sentence


def error_frame(exchange: Exchange) -> None:
    exchange.open_stream()
    exchange.say("so far")
    exchange.frame(ERROR)
    exchange.done()


def cut(exchange: Exchange) -> None:
    exchange.open_stream()
    exchange.say("so far")


def reset(exchange: Exchange) -> None:
    cut(exchange)
    exchange.hold(0.1)
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    exchange.connection.close()


def unfinished(exchange: Exchange) -> None:
    cut(exchange)
    exchange.done()


def half_a_frame(exchange: Exchange) -> None:
    cut(exchange)
    exchange.raw('data: {"choices": [{"delta": {"conte')


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (error_frame, "the lane went away"),
        (cut, "the connection was cut"),
        (reset, "the connection was cut"),
        (unfinished, "finish_reason"),
        (half_a_frame, "no JSON"),
    ],
)
def test_broken_off_in_mid_stream(brain: Brain, gateway: Door, behaviour: Behaviour, said: str) -> None:
    gateway.behaviour = behaviour
    done = brain.run("hello")
    assert (done.returncode, done.stdout) == (4, "so far\n")
    assert said in one_sentence(done.stderr)


def test_broken_off_in_json(brain: Brain, gateway: Door) -> None:
    gateway.behaviour = error_frame
    done = brain.run("--json", "hello")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["text"], answer["finish_reason"]) == (4, "so far", None)
    assert "the lane went away" in answer["error"]
    one_sentence(done.stderr)


def test_a_complete_answer_needs_no_done_frame(brain: Brain, gateway: Door) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.say("all", finish="stop")

    gateway.behaviour = behave
    assert brain.run("hello").returncode == 0


def test_a_server_that_stays_open_after_done_is_not_waited_for(brain: Brain, gateway: Door) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.open_stream()
        exchange.say("all", finish="stop")
        exchange.done()
        exchange.hold(15)

    gateway.behaviour = behave
    assert brain.run("hello", timeout_s=5).returncode == 0
    assert gateway.client_gone.wait(2)


@contextmanager
def slams() -> Iterator[str]:
    """A door that accepts and closes without a word, as Docker's port forwarder does before LiteLLM is up."""
    with open_door() as door:
        door.behaviour = lambda exchange: exchange.connection.shutdown(socket.SHUT_RDWR)
        yield door.url


@contextmanager
def closed() -> Iterator[str]:
    yield closed_url()


@contextmanager
def unknown_name() -> Iterator[str]:
    yield "http://apex.invalid:4000"


@pytest.mark.parametrize(
    ("gone", "options"),
    [(closed, []), (closed, ["--private"]), (black_hole, []), (slams, []), (unknown_name, [])],
)
def test_patio_mode(
    brain: Brain, ollama: Door, gone: Callable[[], AbstractContextManager[str]], options: list[str]
) -> None:
    with gone() as url:
        brain.values["gateway_url"] = url
        brain.write_settings()
        done = brain.run(*options, "hello")
    assert (done.returncode, done.stdout) == (0, "Good morning, world.\n")
    host = url.removeprefix("http://")
    assert done.stderr == f"brain: gateway {host} does not answer: asking this machine's own gemma4:e4b\n"
    assert ollama.asked[0].body["model"] == "gemma4:e4b"
    assert KEY not in json.dumps(ollama.asked[0].headers)


def test_patio_mode_is_said_in_json(brain: Brain) -> None:
    brain.values["gateway_url"] = closed_url()
    brain.write_settings()
    answer = json.loads(brain.run("--json", "hello").stdout)
    assert (answer["patio"], answer["text"]) == (True, "Good morning, world.")


@pytest.mark.parametrize("options", [["--premium"], ["--route", "premium"], []])
def test_nobody_answers_for_premium(brain: Brain, ollama: Door, options: list[str]) -> None:
    brain.values |= {"gateway_url": closed_url(), "route": "default" if options else "premium"}
    brain.write_settings()
    done = brain.run(*options, "hello")
    assert (done.returncode, done.stdout, ollama.asked) == (2, "", [])
    assert "premium" in one_sentence(done.stderr)


def test_nobody_answers_without_a_local_model(brain: Brain, ollama: Door) -> None:
    brain.values |= {"gateway_url": closed_url(), "local_model": None}
    brain.write_settings()
    done = brain.run("hello")
    assert (done.returncode, ollama.asked) == (2, [])
    assert "local_model" in one_sentence(done.stderr)
    assert brain.run("--local", "hello").returncode == 1


def test_nobody_answers_at_all(brain: Brain) -> None:
    brain.values |= {"gateway_url": closed_url(), "local_url": closed_url()}
    brain.write_settings()
    for words in (["hello"], ["--local", "hello"]):
        done = brain.run(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert "start ollama" in done.stderr.splitlines()[-1]


def test_settings_that_others_may_read(brain: Brain, gateway: Door) -> None:
    for mode in (0o640, 0o604, 0o660):
        brain.settings.chmod(mode)
        done = brain.run("hello")
        assert (done.returncode, gateway.asked) == (1, [])
        sentence = one_sentence(done.stderr)
        assert f"chmod 600 '{brain.settings}'" in sentence
        assert KEY not in sentence


def test_missing_settings(brain: Brain) -> None:
    brain.settings.unlink()
    done = brain.run("hello")
    assert done.returncode == 1
    assert f"no settings at {brain.settings}" in one_sentence(done.stderr)


def test_settings_elsewhere_with_carriage_returns(brain: Brain, gateway: Door) -> None:
    elsewhere = brain.settings.rename(brain.home / "else where")
    elsewhere.write_bytes(elsewhere.read_bytes().replace(b"\n", b"\r\n"))
    brain.environment["BRAIN_SETTINGS"] = str(elsewhere)
    assert brain.run("hello").returncode == 0
    assert gateway.asked[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "line",
    [
        "key=a b",
        'key=a"b',
        "gateway_url=apex",
        "connect_timeout_s=soon",
        "rote=code",
        "route",
        "route=a b",
        "key=",
    ],
)
def test_settings_that_cannot_be_meant(brain: Brain, gateway: Door, line: str) -> None:
    brain.extra_lines = line + "\n"
    brain.write_settings()
    done = brain.run("hello")
    assert (done.returncode, gateway.asked) == (1, [])
    sentence = one_sentence(done.stderr)
    assert str(brain.settings) in sentence
    assert "a b" not in sentence  # the value may be a key


def test_settings_are_never_run(brain: Brain) -> None:
    brain.extra_lines = "local_model=$(touch pwned)`touch pwned`\ntouch pwned\n"
    brain.write_settings()
    assert brain.run("hello").returncode == 1
    assert not list(brain.home.rglob("pwned"))


@pytest.mark.parametrize("missing", ["jq", "curl"])
def test_a_missing_tool(brain: Brain, tmp_path: Path, missing: str) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in {"bash", "env", "cat", "stat", "curl", "jq"} - {missing}:
        where = shutil.which(name)
        assert where
        (tools / name).symlink_to(where)
    brain.environment["PATH"] = str(tools)
    done = brain.run("hello")
    assert done.returncode == 1
    assert f"apt-get install {missing}" in one_sentence(done.stderr)


def test_a_stream_that_stalls(stalled: Stalled) -> None:
    out, err = stalled.in_mid_stream.communicate(timeout=20)
    assert (stalled.in_mid_stream.returncode, out) == (4, b"so far\n")
    assert "nothing came for 1 s" in one_sentence(err.decode())


def test_a_gateway_that_takes_the_question_and_says_nothing(stalled: Stalled) -> None:
    out, err = stalled.before_the_first_byte.communicate(timeout=20)
    assert (stalled.before_the_first_byte.returncode, out) == (2, b"")
    assert "said nothing for 1 s" in one_sentence(err.decode())
    assert stalled.local_asked == []
