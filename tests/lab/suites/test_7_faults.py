"""Faults in the middle: one sentence, nothing half-written, and the next converge finishes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import HARMLESS, Desk, Machine

CONTAINERS = "docker ps --all --filter label=com.docker.compose.project=litellm --format '{{.Names}} {{.State}}'"

# What Compose leaves when it is ended between making the new container and removing the old one.
HALF_MADE = """
old=$(docker ps --quiet --no-trunc --filter label=com.docker.compose.project=litellm)
docker inspect --format '{{range $name, $value := .Config.Labels}}{{println $name $value}}{{end}}' $old |
    sed -n 's/^\\(com.docker.compose[^ ]*\\) /\\1=/p' > /tmp/labels
docker create --name "$(echo $old | cut -c1-12)_litellm-litellm-1" --label-file /tmp/labels \\
    $(docker inspect --format '{{.Config.Image}}' $old)
"""

# Processes of the machine, by what stands in their command lines; the brackets keep the search from finding itself.
COMPOSE, AGENT = "compose.* --project-nam[e] litellm .*u[p] ", "llm-harness.* ru[n] "


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True)


@contextlib.contextmanager
def _frozen(machine: Machine) -> Iterator[None]:
    _docker("pause", machine.container)
    try:
        yield
    finally:
        _docker("unpause", machine.container)


def _shoot(running: subprocess.Popen[str]) -> None:
    """End the desk with all that it started, at once."""
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()


def _when_compose_runs(machine: Machine) -> None:
    machine.sh(f"until pgrep --full -- '{COMPOSE}' > /dev/null; do sleep 0.01; done")


def _kill(machine: Machine, *who: str) -> None:
    """At once. On Windows the agent is a process of the stand-in, which only its own door can end."""
    real = [each for each in who if each != AGENT or not machine.windows]
    if AGENT in who and machine.windows:
        machine.control("kill", name="python.exe", word="run")
    if real:
        machine.sh(f"kill -9 $(pgrep --full -- '{'|'.join(real)}')", check=False)


def _new_file_is_there(machine: Machine) -> bool:
    return "json_logs: true" in machine.sh_at("cat {}", "config", check=False)


def test_an_unreachable_machine_is_one_sentence_and_the_other_goes_on(desk: Desk, apex: Machine) -> None:
    with _frozen(apex):
        began = time.monotonic()
        ran = desk.run("converge")
        took_s = time.monotonic() - began
    assert ran.code == 1
    assert took_s < 200
    assert "apex: " in ran.out
    assert ran.unchanged("g16")
    assert "Traceback" not in ran.out
    with _frozen(apex):
        plan = desk.run("plan")
    assert plan.code == 1
    assert "apex" in plan.out
    assert desk.run("converge").code == 0


def test_the_desk_killed_in_the_middle(copy: Desk, apex: Machine) -> None:
    """A container restart outlives the desk that asked for it; the next converge finds it done or finishes it."""
    copy.edit(*HARMLESS)
    running = copy.start("HOST=apex")
    deadline = time.monotonic() + 60
    while not _new_file_is_there(apex) and time.monotonic() < deadline:
        time.sleep(0.1)
    _shoot(running)
    ran = copy.run("converge", "HOST=apex")
    assert ran.code == 0
    assert copy.run("plan", "HOST=apex").code == 0


def test_a_half_made_container_is_cleared_away(copy: Desk, apex: Machine) -> None:
    apex.sh(HALF_MADE)
    assert "_litellm-litellm-1 created" in apex.sh(CONTAINERS)
    copy.edit(*HARMLESS)
    assert copy.run("converge", "HOST=apex").code == 0
    assert apex.sh(CONTAINERS) == "litellm-litellm-1 running"
    assert copy.run("plan", "HOST=apex").code == 0


@pytest.mark.parametrize(
    ("who", "after_s"), [((COMPOSE, AGENT), 0.3), ((COMPOSE, AGENT), 2.0), ((AGENT,), 0.3), ((COMPOSE,), 2.0)]
)
def test_compose_and_the_agent_killed_in_the_middle(
    who: tuple[str, ...], after_s: float, copy: Desk, apex: Machine
) -> None:
    """Both, or the agent alone while its Compose goes on, or Compose alone."""
    copy.edit(*HARMLESS)
    running = copy.start("HOST=apex")
    _when_compose_runs(apex)
    time.sleep(after_s)
    _kill(apex, *who)
    out, _ = running.communicate(timeout=300)
    assert "Traceback" not in out
    assert copy.run("converge", "HOST=apex").code == 0
    assert apex.sh(CONTAINERS) == "litellm-litellm-1 running"
    assert copy.run("plan", "HOST=apex").code == 0


def test_another_change_while_the_container_is_replaced(copy: Desk, apex: Machine) -> None:
    """It waits for the replacement: cut there, nothing would answer until its own is through."""
    copy.edit(*HARMLESS)
    running = copy.start("HOST=apex")
    _when_compose_runs(apex)
    _shoot(running)
    path, old, new = HARMLESS
    copy.edit(path, new, f"{old}  json_logs: false\n")
    assert copy.run("converge", "HOST=apex").code == 0
    assert apex.sh(CONTAINERS) == "litellm-litellm-1 running"
    assert "json_logs: false" in apex.sh_at("cat {}", "config")
    assert copy.run("plan", "HOST=apex").code == 0


def test_power_loss_between_the_file_and_the_restart(copy: Desk, apex: Machine, desk: Desk) -> None:
    """The new file is there, the gateway has not read it: nothing but the machine itself can tell, and it does."""
    copy.edit(*HARMLESS)
    running = copy.start("HOST=apex")
    deadline = time.monotonic() + 60
    while not _new_file_is_there(apex) and time.monotonic() < deadline:
        time.sleep(0.05)
    _docker("kill", apex.container)
    running.communicate(timeout=300)
    assert running.returncode == 1
    _docker("start", apex.container)
    _until_reachable(desk)
    assert copy.run("converge", "HOST=apex").code == 0
    assert copy.run("plan", "HOST=apex").code == 0


def _until_reachable(desk: Desk) -> None:
    for _ in range(30):
        if desk.run("ssh", "HOST=apex", "CMD=echo there").code == 0:
            return
        time.sleep(2)
    pytest.fail("apex did not come back")


def test_after_a_reboot_everything_is_back_by_itself(desk: Desk, apex: Machine, g16: Machine) -> None:
    """The boot race included: the gateway binds the tailnet address, which comes after Docker."""
    _docker("restart", apex.container)
    _until_reachable(desk)
    deadline = time.monotonic() + 180
    answer = ""
    while time.monotonic() < deadline and "standing in" not in answer:
        answer = g16.sh("su desk -c 'brain --private hello'", check=False)
        time.sleep(2)
    assert "standing in" in answer, "the gateway did not come back by itself"


def test_interrupting_exits_130(copy: Desk) -> None:
    copy.edit(*HARMLESS)
    running = copy.start()
    time.sleep(2.5)
    running.send_signal(signal.SIGINT)
    out, _ = running.communicate(timeout=60)
    assert running.returncode == 130, out
    assert "Traceback" not in out


def test_a_second_converge_is_refused_and_a_dead_ones_lock_heals(copy: Desk, desk: Desk) -> None:
    copy.edit(*HARMLESS)
    running = copy.start()
    time.sleep(1.5)
    second = desk.run("converge")
    assert second.code == 1
    assert str(running.pid) in second.out or "since" in second.out
    _shoot(running)
    assert desk.run("converge").code == 0


def test_another_desk_is_told_who_is_at_it(apex: Machine, copy: Desk) -> None:
    copy.edit(*HARMLESS)
    until = time.time() + 45
    lease = f'{{"run": "other", "by": "eve", "desk": "elsewhere", "since": "now", "until": {until}}}'
    apex.sh_at(f"echo '{lease.replace('{', '{{').replace('}', '}}')}' > {{}}/lease.json", "agent")
    ran = copy.run("converge", "HOST=apex")
    assert ran.code == 1
    assert "eve at elsewhere is converging it" in ran.out
    apex.sh_at("rm {}/lease.json", "agent")


def test_a_wrong_host_key_is_refused(desk: Desk, copy: Desk, lab: dict[str, Any]) -> None:
    known = Path(lab["ssh_config"]).parent / "known_hosts"
    lines = known.read_text()
    wrong = subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", copy.checkout / "other"], check=True)
    assert wrong.returncode == 0
    public = (copy.checkout / "other.pub").read_text().split()[1]
    forged = [
        f"{line.split()[0]} ssh-ed25519 {public}" if line.startswith("g16") else line for line in lines.splitlines()
    ]
    known.write_text("\n".join(forged) + "\n")
    try:
        ran = desk.run("converge")
    finally:
        known.write_text(lines)
    assert ran.code == 1
    assert "g16" in ran.out
    assert ran.unchanged("apex")
    assert "Traceback" not in ran.out


def test_the_network_gone_in_the_middle_of_a_pull(copy: Desk, g16: Machine, lab: dict[str, Any]) -> None:
    """The store goes away: the model held before stays, the reason is said, the next converge resumes."""
    g16.sh('curl -sf -X DELETE http://127.0.0.1:11434/api/delete -d \'{"model": "gemma4:e4b-it-qat"}\'')
    store = f"{lab['name']}-store"
    _docker("pause", store)
    try:
        running = copy.start("HOST=g16")
        time.sleep(12)
    finally:
        _docker("unpause", store)
    running.communicate(timeout=300)
    assert copy.run("converge", "HOST=g16").code == 0
    assert copy.run("plan", "HOST=g16").code == 0
