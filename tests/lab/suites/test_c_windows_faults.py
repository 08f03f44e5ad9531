"""Faults on a Windows Apex: one sentence, nothing half-written, the other machine goes on, the next run finishes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import HARMLESS, Desk, Machine, ended, until
from .windowsfaults import (
    CONFIG,
    LAB_DATA,
    RELEASE,
    ROOM,
    RUNS_ON,
    agents,
    bare,
    finishes,
    half_written,
    one_sentence,
    only_on_windows,
    python,
    whole,
)

__all__ = ["only_on_windows", "whole"]

# Runs on the machine: asks the door what `asks` says, 500 times a second, until an answer is more than nothing.
KNOCK = """
import json, socket, sys, time
asked, end = sys.argv[1].encode(), time.monotonic() + float(sys.argv[2])
with socket.socket(socket.AF_UNIX) as door:
    door.connect("/run/windows-control")
    stream = door.makefile("rwb")
    while time.monotonic() < end:
        stream.write(asked + b"\\n")
        stream.flush()
        if json.loads(stream.readline()).get("ok"):
            sys.exit(print("struck"))
        time.sleep(0.002)
"""


def _knock(apex: Machine, asks: str, within_s: float = 60) -> subprocess.Popen[str]:
    """In the background."""
    command = ["docker", "exec", apex.container, "python3", "-c", KNOCK, asks, str(within_s)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def _works(apex: Machine, verb: str) -> bool:
    """Whether an agent is at it."""
    return any(verb in each["arguments"] for each in apex.control("processes"))


def _new_file_is_there(apex: Machine) -> bool:
    return "json_logs: true" in apex.sh_at("cat {}", "config", check=False)


def _below(pid: int) -> list[int]:
    children: list[int] = []
    for each in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, each.read_text().split())
    return children + [below for child in children for below in _below(child)]


def _cut_the_road(running: subprocess.Popen[str]) -> None:
    """What carries SSH to apex ends, as when the desk's own network goes."""
    roads = []
    for pid in _below(running.pid):
        with contextlib.suppress(OSError):
            if b"nc\0apex" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
                roads.append(pid)
    assert roads, "there was no road to cut"


# -- the channel is cut
def test_cut_in_the_middle_of_an_upload(copy: Desk, apex: Machine, whole: None) -> None:
    """After the first byte of the agent, in its middle, and one byte before its end."""
    there = agents(apex)
    (path,) = there
    size = apex.control("files", below=apex.path("agent"))[path]["bytes"]
    for after in (1, size // 2, size - 1):
        bare(apex, python_too=False)
        apex.control("cut", after=after)
        one_sentence(copy.run("converge", "HOST=apex"), "the connection broke", RUNS_ON)
        assert not agents(apex), "half of it has the name"
    ran = copy.run("converge")
    assert ran.code == 0
    assert ran.unchanged("apex")
    assert agents(apex) == there
    assert not half_written(apex)
    assert copy.run("plan").code == 0


def test_cut_while_python_is_brought(
    copy: Desk, apex: Machine, whole: None, tmp_path: Path, lab: dict[str, Any]
) -> None:
    """By the desk, as the machine has no internet; then when it is unpacked, by the road that ends."""
    runtime = lab["windows"]["runtime"]
    there = agents(apex)
    kept = tmp_path / "llm-harness" / runtime["sha256"]
    kept.parent.mkdir()
    kept.write_bytes((Path(lab["state"]) / "store/downloads" / runtime["url"].removeprefix("https://")).read_bytes())
    bare(apex, python_too=True)
    apex.control("internet", there=False)
    apex.control("cut", after=kept.stat().st_size // 2)
    one_sentence(copy.run("converge", "HOST=apex", XDG_CACHE_HOME=str(tmp_path)), "the connection broke", RUNS_ON)
    assert f"{python(apex)}\\python.exe" not in apex.control("files", below=apex.path("agent"), content=False)
    apex.control("internet", there=True)
    apex.control("forget")
    apex.control("slow", name="tar.exe", by_s=20)
    running = copy.start("HOST=apex")
    until(lambda: any("tar.exe" in each[0] for each in apex.control("started")))
    _cut_the_road(running)
    one_sentence(ended(running), "the connection broke", RUNS_ON)
    assert f"{python(apex)}\\python.exe" not in apex.control("files", below=apex.path("agent"), content=False)
    apex.control("slow", name="tar.exe", by_s=0)
    finishes(copy, "HOST=apex")
    assert agents(apex) == there
    assert not half_written(apex)


def test_cut_in_the_middle_of_a_large_write(copy: Desk, apex: Machine, whole: None) -> None:
    """A change that does not go on stdin: not a byte of it comes where it is read from."""
    before = apex.sh_at("cat {}", "config")
    path, old, new = HARMLESS
    long = "".join(f"# {number} {'x' * 90}\n" for number in range(1000))
    copy.edit(path, old, long + new)
    for after in (1, 70_000):
        apex.control("cut", after=after)
        one_sentence(copy.run("converge", "HOST=apex"), "the connection broke", RUNS_ON)
        assert apex.sh_at("cat {}", "config") == before
    finishes(copy, "HOST=apex")
    assert _new_file_is_there(apex)
    assert not half_written(apex)


def test_cut_while_a_change_is_made(copy: Desk, apex: Machine) -> None:
    """The container is being replaced: that goes on by itself, and the next converge finds it."""
    copy.edit(*HARMLESS)
    running = copy.start("HOST=apex")
    until(lambda: _new_file_is_there(apex) and _works(apex, "run"))
    _cut_the_road(running)
    one_sentence(ended(running), "the connection broke", RUNS_ON)
    finishes(copy, "HOST=apex")
    assert not half_written(apex)


def test_a_wrong_host_key_is_refused(desk: Desk, lab: dict[str, Any], tmp_path: Path) -> None:
    known = Path(lab["ssh_config"]).parent / "known_hosts"
    lines = known.read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    public = (tmp_path / "other.pub").read_text().split()[1]
    forged = [
        f"{each.split()[0]} ssh-ed25519 {public}" if each.startswith("apex") else each for each in lines.splitlines()
    ]
    assert forged != lines.splitlines()
    known.write_text("\n".join(forged) + "\n")
    try:
        ran = desk.run("converge")
    finally:
        known.write_text(lines)
    assert ran.code == 1
    said = [each for each in ran.out.splitlines() if "apex" in each and "key" in each.lower()]
    assert len(said) == 1
    print(f"SAID {said[0]}")
    assert ran.unchanged("g16")
    assert "Traceback" not in ran.out
    finishes(desk)


# -- in the middle of a change
@pytest.mark.parametrize(("verb", "after_s"), [("do", 0.0), ("run", 0.0), ("run", 1.5)])
def test_the_agent_killed_in_the_middle_of_a_change(verb: str, after_s: float, copy: Desk, apex: Machine) -> None:
    """A change cut short is asked for once more by itself; a job is not: the next converge does it."""
    before = apex.sh_at("cat {}", "config")
    copy.edit(*HARMLESS)
    running = copy.start("HOST=apex")
    if after_s:
        until(lambda: _works(apex, verb))
        time.sleep(after_s)
        assert apex.control("kill", name="python.exe", word=verb), "it had ended before"
    else:
        seen = _knock(apex, f'{{"verb": "kill", "name": "python.exe", "word": "{verb}"}}')
        assert seen.communicate()[0] == "struck\n"
    assert apex.sh_at("cat {}", "config") in (before, before.replace(HARMLESS[1], HARMLESS[2]))
    ran = ended(running)
    if verb == "do":
        assert ran.code == 0
        assert "Traceback" not in ran.out
    else:
        one_sentence(ran, "it was killed", RUNS_ON)
    finishes(copy, "HOST=apex")
    assert _new_file_is_there(apex)
    assert not half_written(apex)


@pytest.mark.parametrize("how", ["restart", "power", "power at work"])
def test_the_machine_restarted_in_the_middle(how: str, copy: Desk, apex: Machine, desk: Desk, g16: Machine) -> None:
    """As its user restarts it, or with its power gone: after the file, before or while the container is replaced."""
    copy.edit(*HARMLESS)
    running = copy.start()
    until(lambda: _new_file_is_there(apex) and ("work" not in how or _works(apex, "run")))
    if how == "restart":
        apex.control("reboot")
    else:
        subprocess.run(["docker", "restart", "-t", "0", apex.container], check=True, capture_output=True)
    ran = ended(running)
    one_sentence(ran, RUNS_ON)
    assert ran.unchanged("g16")
    until(lambda: desk.run("ssh", "HOST=apex", "CMD=echo there").code == 0, 120)
    finishes(copy, "HOST=apex")
    assert not half_written(apex)
    assert "standing in" in g16.sh("su desk -c 'brain --private hello'")


# -- the disk is full
def test_a_full_disk_keeps_what_is_there(copy: Desk, apex: Machine, whole: None) -> None:
    """A configuration: however often it is tried, nothing is half there; with room it comes."""
    before = {each: apex.sh_at("cat {}", each) for each in ("config", "keys", "manifest")}
    copy.edit(*HARMLESS)
    apex.control("disk", full=True)
    for _ in range(2):
        ran = copy.run("converge")
        one_sentence(ran, ROOM)
        assert ran.unchanged("g16")
        assert {each: apex.sh_at("cat {}", each) for each in before} == before
        assert not half_written(apex)
    apex.control("disk", full=False)
    finishes(copy, "HOST=apex")
    assert _new_file_is_there(apex)


@pytest.mark.parametrize(("version", "at", "step"), [("9.1", r"\downloads", "download"), ("9.2", ".9.2.new", "unpack")])
def test_a_disk_that_fills_up_under_a_release(  # noqa: PLR0917  three of them are one case
    version: str, at: str, step: str, copy: Desk, apex: Machine, whole: None
) -> None:
    """While it comes, and while it is unpacked. The job has no room to write down how it ended, and tells it."""
    versions, engine = apex.sh_at("ls -A {}", "ollama"), apex.engine()
    copy.edit(LAB_DATA, RELEASE, RELEASE.replace(")", f' | {{"version": "{version}"}})'))
    apex.control("disk", full=True, at=at)
    for what in (step, "lease.json"):
        said = one_sentence(copy.run("converge", "HOST=apex"), ROOM, what)
        assert "killed" not in said
        assert apex.sh_at("ls -A {}", "ollama") == versions
        assert apex.engine() == engine
        assert not half_written(apex)
    apex.control("disk", full=False)
    finishes(copy, "HOST=apex")
    assert version in apex.sh_at("ls {}", "ollama").split()


def test_a_full_disk_takes_no_agent(copy: Desk, apex: Machine, whole: None) -> None:
    there = agents(apex)
    bare(apex, python_too=False)
    apex.control("disk", full=True)
    for _ in range(2):
        one_sentence(copy.run("converge", "HOST=apex"), "the agent could not be brought", ROOM)
        assert not agents(apex)
    apex.control("disk", full=False)
    finishes(copy, "HOST=apex")
    assert agents(apex) == there
    assert not half_written(apex)


# -- somebody has it open
def test_a_file_that_somebody_has_open(copy: Desk, apex: Machine, whole: None) -> None:
    copy.edit(*HARMLESS)
    before = apex.sh_at("cat {}", "config")
    apex.control("lock", path=CONFIG)
    ran = copy.run("converge")
    one_sentence(ran, CONFIG, "being used by another process")
    assert ran.unchanged("g16")
    assert apex.sh_at("cat {}", "config") == before
    assert not half_written(apex)
    apex.control("unlock", path=CONFIG)
    finishes(copy, "HOST=apex")
    assert _new_file_is_there(apex)
