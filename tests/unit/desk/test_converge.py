"""converge: steps as they come, a summary, 0, 1 or 130, and one run at a time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import CHANGED, CONNECTED, REFUSED, Checkout, step


def _until(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


def _finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def test_steps_and_summary(checkout: Checkout) -> None:
    lines = [*step("Write x", apex="Success", g16=" No changes"), *step("Run y", apex="No changes", g16=" No changes")]
    checkout.play(*CONNECTED, *lines, events=(CHANGED,))
    ran = checkout.run("converge")
    assert ran.code == 0
    told = ran.out.splitlines()
    assert told[:4] == [
        "apex  ~ Write x (file /etc/x: content differs)",
        "g16   = Write x",
        "apex  = Run y",
        "g16   = Run y",
    ]
    assert re.fullmatch(r"apex: 1 changed, 1 as wanted, \d+\.\d s", told[5])
    assert re.fullmatch(r"g16: 0 changed, 2 as wanted, \d+\.\d s", told[6])


def test_progress_passes_through(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, *step("Hold gemma3:27b", apex="gemma3:27b: pulling 1.20 of 18.00 GB, 40.0 MB/s"))
    assert "apex    gemma3:27b: pulling 1.20 of 18.00 GB, 40.0 MB/s" in checkout.run("converge").out


def test_progress_that_stands_still_is_said_once(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, *step("Run it", apex="litellm: starting"), "    [apex] litellm: starting")
    assert checkout.run("converge").out.count("litellm: starting") == 1


def test_a_refusal_is_1_and_said_at_the_end(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, *step("Write x", apex="No changes"), events=(REFUSED,), exit=1)
    ran = checkout.run("converge")
    assert ran.code == 1
    assert ran.err == "g16: there is no zstd on it: install it\n"
    assert "apex: 0 changed, 1 as wanted" in ran.out
    assert "g16: 0 changed" in ran.out


def test_a_refusal_is_1_even_if_pyinfra_says_0(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, events=(REFUSED,))
    assert checkout.run("converge").code == 1


def test_a_step_that_failed_is_1(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, *step("Write x", apex="Error: executed 0 commands"), exit=1)
    ran = checkout.run("converge")
    assert ran.code == 1
    assert "apex  ! Write x: not done" in ran.out
    assert "apex: 0 changed, 0 as wanted, 1 not done" in ran.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_is_130_though_pyinfra_exits_0(checkout: Checkout, number: signal.Signals, code: int) -> None:
    checkout.play(*CONNECTED, waits=True)
    process = checkout.start("converge")
    _until(checkout.root / ".venv/bin/waiting")
    process.send_signal(number)
    ended, _, err = _finish(process)
    assert ended == code
    assert "interrupted" in err


def test_a_second_run_is_refused_naming_the_first(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, waits=True)
    first = checkout.start("converge")
    _until(checkout.root / ".venv/bin/waiting")
    second = checkout.start("converge")
    code, _, err = _finish(second)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert f"process {first.pid}" in err
    assert re.search(r"since \d{4}-\d\d-\d\dT\d\d:\d\d", err)
    first.send_signal(signal.SIGINT)
    _finish(first)


def test_a_dead_holders_lock_is_taken_over(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, waits=True)
    dead = checkout.start("converge")
    _until(checkout.root / ".venv/bin/waiting")
    lock = checkout.state / "llm-harness" / "desk.lock"
    assert json.loads(lock.read_text())["pid"] == dead.pid
    children = Path(f"/proc/{dead.pid}/task/{dead.pid}/children").read_text().split()
    dead.kill()
    for child in children:
        os.kill(int(child), signal.SIGKILL)
    dead.wait()
    checkout.play(*CONNECTED)
    assert checkout.run("converge").code == 0


def test_the_lock_outlives_a_desk_whose_pyinfra_still_works(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, waits=True)
    dead = checkout.start("converge")
    _until(checkout.root / ".venv/bin/waiting")
    children = [int(each) for each in Path(f"/proc/{dead.pid}/task/{dead.pid}/children").read_text().split()]
    dead.kill()
    dead.wait()
    try:
        assert checkout.start("converge").wait(timeout=20) == 1
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def test_the_report_has_no_name_that_could_stay(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, events=(CHANGED,))
    checkout.run("converge")
    assert checkout.calls()[0]["report"].startswith("/proc/self/fd/")


def test_the_state_directory_is_for_one_person(checkout: Checkout) -> None:
    checkout.play(*CONNECTED)
    checkout.run("converge")
    home = checkout.state / "llm-harness"
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "desk.lock").stat().st_mode & 0o777 == 0o600
