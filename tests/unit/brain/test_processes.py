"""Secrets in the process list, tokens in time, signals, and what is left behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import BRAIN, KEY, Brain, interruptible
from .door import Door, Exchange, streaming

PROMPT = "what nobody else may read 4711"


def speaks_then_holds(exchange: Exchange) -> None:
    exchange.open_stream()
    exchange.say("first ")
    exchange.hold(15)


def silent(exchange: Exchange) -> None:
    exchange.hold(15)


def session_of(pid: int) -> dict[int, str]:
    """Every living process of the session that `pid` leads, with its command line."""
    found = {}
    for each in Path("/proc").iterdir():
        if not each.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            state, _, _, session = (each / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(session) == pid and state != "Z":
                found[int(each.name)] = (each / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def wait_until_gone(pid: int) -> dict[int, str]:
    """What is still alive of a session after a moment's grace."""
    end = time.monotonic() + 2
    while (left := session_of(pid)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def finish(process: subprocess.Popen[bytes]) -> None:
    """End a question that a test has seen enough of."""
    process.terminate()
    process.communicate()


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("inherited", [{}, {"SHELLOPTS": "allexport"}])
def test_neither_key_nor_prompt_is_in_the_process_list(
    brain: Brain, gateway: Door, piped: bool, inherited: dict[str, str]
) -> None:
    names = ("settings", "question", "text", "words", "given", "key", "first", "piped", "line", "READER")
    brain.environment = dict.fromkeys(names, "exported by somebody") | inherited
    gateway.behaviour = silent
    source = brain.home / "question"
    source.write_text(PROMPT)
    with source.open() as question:
        process = subprocess.Popen(
            [BRAIN] if piped else [BRAIN, PROMPT],
            stdin=question if piped else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=brain.environ(),
            start_new_session=True,
        )
    try:
        assert gateway.holding.wait(5)
        ours = session_of(process.pid)
        assert any("curl" in each for each in ours.values())
        assert any("jq" in each for each in ours.values())
        for pid in ours:
            for name in ("cmdline", "environ"):
                content = Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
                assert KEY not in content
                assert PROMPT not in content
    finally:
        finish(process)
    assert gateway.asked[0].question == PROMPT


def test_tokens_come_before_the_stream_ends(brain: Brain, gateway: Door) -> None:
    gateway.behaviour = streaming("one ", "two ", "three", pause_s=0.3)
    process = brain.start("hello")
    assert process.stdout
    arrived = []
    while piece := os.read(process.stdout.fileno(), 100):
        arrived.append((piece, time.monotonic()))
    process.communicate()
    assert [piece for piece, _ in arrived] == [b"one ", b"two ", b"three", b"\n"]
    gaps = [after - before for (_, before), (_, after) in itertools.pairwise(arrived)]
    assert min(gaps) > 0.15


def test_tokens_reach_a_terminal(brain: Brain, gateway: Door) -> None:
    gateway.behaviour = speaks_then_holds
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [BRAIN, "hello"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=brain.environ(),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        assert os.read(ours, 100) == b"first "
    finally:
        finish(process)
        os.close(ours)


def test_a_terminal_without_words_is_usage(brain: Brain) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run([BRAIN], stdin=theirs, capture_output=True, env=brain.environ(), timeout=5, check=False)
    os.close(theirs)
    os.close(ours)
    assert (done.returncode, b"nothing to ask" in done.stderr) == (1, True)


@pytest.mark.parametrize("behaviour", [speaks_then_holds, silent])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_ends_it_at_once_and_leaves_nothing(
    brain: Brain, gateway: Door, behaviour: object, number: signal.Signals, whole_group: bool
) -> None:
    gateway.behaviour = behaviour  # type: ignore[assignment]
    process = brain.start("hello")
    assert gateway.holding.wait(5)
    if behaviour is speaks_then_holds:
        assert process.stdout
        assert os.read(process.stdout.fileno(), 100) == b"first "
    if whole_group:  # as a terminal does it
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=2)
    assert process.returncode == -number  # a shell shows this as 130 for SIGINT
    assert err == b""
    assert wait_until_gone(process.pid) == {}
    assert gateway.client_gone.wait(2)


def test_a_shell_sees_130_on_ctrl_c(brain: Brain, gateway: Door) -> None:
    gateway.behaviour = silent
    shell = subprocess.Popen(
        ["bash", "-c", f"trap : INT; '{BRAIN}' hello; echo $?"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=brain.environ(),
        start_new_session=True,
        preexec_fn=interruptible,  # noqa: PLW1509
    )
    assert gateway.holding.wait(5)
    os.killpg(shell.pid, signal.SIGINT)
    assert shell.communicate(timeout=3)[0].strip() == b"130"


def test_a_reader_that_leaves_ends_it_quietly(brain: Brain, gateway: Door) -> None:
    gateway.behaviour = streaming(*(f"line {n}\n" for n in range(200)), pause_s=0.02)
    started = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", f"'{BRAIN}' hello | head -1; echo ${{PIPESTATUS[0]}}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=brain.environ(),
        timeout=10,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"line 0\n141\n", b"")
    assert time.monotonic() - started < 3  # the whole answer would take four seconds
    assert gateway.client_gone.wait(2)


@pytest.mark.parametrize("redirection", ["> /dev/full", ">&-"])
def test_an_answer_that_cannot_be_written_is_no_success(brain: Brain, redirection: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{BRAIN}' hello {redirection}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=brain.environ(),
        timeout=10,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"brain: ")
    assert done.stderr.count(b"\n") == 1


def test_closed_stdin_is_no_question(brain: Brain, gateway: Door) -> None:
    command = ["bash", "-c", f"'{BRAIN}' hello <&-"]
    done = subprocess.run(command, capture_output=True, env=brain.environ(), timeout=10, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert gateway.asked[0].question == "hello"


def test_an_open_stdin_is_waited_for_and_that_is_said(brain: Brain, gateway: Door) -> None:
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [BRAIN, "hello"], stdin=reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=brain.environ()
    )
    os.close(reading)
    assert process.stderr
    assert b"waiting for the end of the piped text" in process.stderr.readline()
    os.write(writing, b"late")
    os.close(writing)
    process.communicate(timeout=5)
    assert gateway.asked[0].question == "hello\n\nlate"


def test_no_file_is_left_behind(brain: Brain, gateway: Door) -> None:
    temporary = brain.home / "tmp"
    temporary.mkdir()
    brain.environment["TMPDIR"] = str(temporary)
    before = set(brain.home.rglob("*"))
    gateway.behaviour = speaks_then_holds
    process = brain.start(PROMPT * 1000)
    assert gateway.holding.wait(5)
    during = set(brain.home.rglob("*"))
    finish(process)
    assert before == during == set(brain.home.rglob("*"))


def test_overhead_beside_curl(brain: Brain, gateway: Door, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, never asserted: how long until the whole answer of a server that answers at once is there."""
    url = f"{gateway.url}/v1/chat/completions"
    commands = {"curl": ["curl", "-sN", "-d", "{}", url], "brain": [str(BRAIN), "hello"]}
    best_ms = {}
    for name, command in commands.items():
        took = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=brain.environ(), check=True)
            took.append((time.perf_counter() - started) * 1000)
        best_ms[name] = min(took)
    with capsys.disabled():
        print(f"\nbest of 5: curl {best_ms['curl']:.0f} ms, brain {best_ms['brain']:.0f} ms", end=" ")
    assert len(gateway.asked) == 10
