"""Faults on a Windows Apex: one sentence, nothing half-written, the other machine goes on, the next converge finishes.

Why nobody else can read a secret, not even for a moment: the order of steps. A request leaves the desk on stdin, or,
when it is large, as a file in the agent's home, which was closed to others before anything was put there. The agent
makes a new file that is empty, gives it to administrators alone, only then writes the content, then lets in who else
shall read it, and at last gives it its name: the one rename before which nobody looks for it there.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .conftest import HARMLESS, Desk, Machine, Ran
from .test_6_secrets import DOCKERS_USER, PLANTED, planted

__all__ = ["planted"]

HOME, PYTHON = r"C:\ProgramData\llm-harness", r"C:\ProgramData\llm-harness\python-3.12.10"
CONFIG, KEYS = r"C:\litellm\app\config.yaml", r"C:\litellm\gateway.env"
RUNS_ON = "converge again"
DATA, LAB_DATA = "group_data/windows.py", "tests/lab/group_data/windows.py"
VARIABLE = ("variables = [\n", 'variables = [\n    Variable("LAB_FAULT", "1"),\n')

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

# Runs on the machine: reads every small file of C: that is younger than a second, again and again.
SEEK = """
import json, os, socket, sys, time
root, sought = sys.argv[1], sys.argv[2].encode()
looks, since = 0, time.time()
with socket.socket(socket.AF_UNIX) as door:
    door.connect("/run/windows-control")
    stream = door.makefile("rwb")
    print("looking", flush=True)
    while not os.path.exists("/tmp/sought-enough"):
        looks += 1
        for folder, folders, names in os.walk(root):
            folders[:] = [each for each in folders if each not in ("Windows", "models", "Ollama", "Docker")]
            for name in names:
                path = os.path.join(folder, name)
                try:
                    about = os.stat(path)
                    if about.st_ctime < since or about.st_size > 1 << 20 or sought not in open(path, "rb").read():
                        continue
                except OSError:
                    continue
                there = "C:" + path[len(root):].replace("/", chr(92))
                stream.write(json.dumps({"verb": "found", "path": there}).encode() + b"\\n")
                stream.flush()
                stream.readline()
        time.sleep(0.003)
print(looks)
"""


@pytest.fixture(autouse=True)
def _only_on_windows(apex: Machine) -> None:
    if not apex.windows:
        pytest.skip("apex is no Windows machine in this lab: make lab APEX=windows")


@pytest.fixture
def whole(apex: Machine, desk: Desk) -> Iterator[None]:
    """Whatever was done to the machine itself is taken back, before the last converge."""
    access = apex.control("files", below=CONFIG.rpartition("\\")[0], content=False)[CONFIG]["sddl"]
    yield
    apex.control("acl", path=CONFIG, sddl=access)
    apex.control("disk", full=False)
    apex.control("elevated", yes=True)
    apex.control("internet", there=True)
    apex.control("installers", code=0)
    apex.control("unlock", path=CONFIG)


def _one_sentence(ran: Ran, *words: str, machine: str = "apex") -> str:
    """The one line that says all of it."""
    assert ran.code == 1
    assert "Traceback" not in ran.out
    said = [each for each in ran.out.splitlines() if each.startswith(f"{machine}: ") and all(w in each for w in words)]
    assert len(said) == 1, f"not one line says all of {words}"
    print(f"SAID {said[0]}")
    return said[0]


def _g16_goes_on(ran: Ran) -> bool:
    """To its end: all of it was compared, not merely nothing changed."""
    return bool(re.search(r"^g16: 0 changed, [1-9]\d* as wanted", ran.out, re.MULTILINE))


def _finishes(desk: Desk, *settings: str) -> None:
    assert desk.run("converge", *settings).code == 0
    assert desk.run("plan", *settings).code == 0


def _left_in_home(apex: Machine) -> list[str]:
    """What a cut would leave: rests, and whether all that is there is closed to others."""
    found = apex.control("files", below=HOME, content=False)
    names = [path.rpartition("\\")[2] for path in found]
    for path, about in found.items():
        assert re.search(r";;;(BU|WD|AU)\)", about["sddl"]) is None, f"{path}: {about['sddl']}"
    return [
        each
        for each in names
        if each.startswith((".agent-new-", ".new-")) or re.fullmatch(r".*\.new|\w{64}\.zip", each)
    ]


def _agents(apex: Machine) -> dict[str, str]:
    found = apex.control("files", below=HOME)
    return {path: each["sha256"] for path, each in found.items() if re.fullmatch(r".*\\agent-\w+\.pyz", path)}


def _bare(apex: Machine, *, python: bool) -> None:
    for path in _agents(apex):
        apex.control("delete", path=path)
    if python:
        apex.control("delete", path=PYTHON)


def _start(copy: Desk, *settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.desk", "converge", "LAB=1", *settings],
        cwd=copy.checkout,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _ended(running: subprocess.Popen[str]) -> Ran:
    out, _ = running.communicate(timeout=400)
    print(f"--- converge -> {running.returncode}\n{out}")
    return Ran(running.returncode, out)


def _knock(apex: Machine, asks: str, within_s: float = 60) -> subprocess.Popen[str]:
    """In the background."""
    command = ["docker", "exec", apex.container, "python3", "-c", KNOCK, asks, str(within_s)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def _until(true: Callable[[], object], within_s: float = 90) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"it did not come so within {within_s} s"
        time.sleep(0.02)


def _below(pid: int) -> list[int]:
    children: list[int] = []
    for each in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            children += map(int, each.read_text().split())
    return children + [below for child in children for below in _below(child)]


def _cut_the_road(running: subprocess.Popen[str]) -> None:
    """What carries SSH to apex ends, as when the desk's own network goes."""
    for pid in _below(running.pid):
        with contextlib.suppress(OSError):
            if b"nc\0apex" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


# -- the way in
def test_cut_in_the_middle_of_an_upload(copy: Desk, apex: Machine, whole: None) -> None:
    """After the first byte of the agent, in its middle, and one byte before its end."""
    agents = _agents(apex)
    (path,) = agents
    size = apex.control("files", below=HOME)[path]["bytes"]
    for after in (1, size // 2, size - 1):
        _bare(apex, python=False)
        apex.control("cut", after=after)
        ran = copy.run("converge", "HOST=apex")
        _one_sentence(ran, "the connection broke", RUNS_ON)
        assert not _agents(apex), "half of it has the name"
    ran = copy.run("converge")
    assert ran.code == 0
    assert "apex: 0 changed" in ran.out
    assert _agents(apex) == agents
    assert not _left_in_home(apex)
    assert copy.run("plan").code == 0


def test_cut_while_python_is_brought(copy: Desk, apex: Machine, tmp_path: Path, lab: dict[str, Any]) -> None:
    """By the desk, as the machine has no internet; then when it is unpacked, by the road that ends."""
    python = lab["windows"]["runtime"]
    agents = _agents(apex)
    kept = tmp_path / "llm-harness" / python["sha256"]
    kept.parent.mkdir()
    kept.write_bytes((Path(lab["state"]) / "store/downloads" / python["url"].removeprefix("https://")).read_bytes())
    _bare(apex, python=True)
    apex.control("internet", there=False)
    try:
        apex.control("cut", after=kept.stat().st_size // 2)
        _one_sentence(copy.run("converge", "HOST=apex", XDG_CACHE_HOME=str(tmp_path)), "the connection broke", RUNS_ON)
        assert f"{PYTHON}\\python.exe" not in apex.control("files", below=HOME, content=False)
        running = _start(copy, "HOST=apex")
    finally:
        apex.control("internet", there=True)
    _until(lambda: any("tar.exe" in each[0] for each in apex.control("started")))
    _cut_the_road(running)
    _one_sentence(_ended(running), "the connection broke", RUNS_ON)
    _finishes(copy, "HOST=apex")
    assert _agents(apex) == agents
    assert not _left_in_home(apex)


def test_another_python_is_not_unpacked(copy: Desk, apex: Machine, tmp_path: Path, lab: dict[str, Any]) -> None:
    """Neither the machine nor the desk takes bytes of another sha256."""
    _bare(apex, python=True)
    copy.edit(
        LAB_DATA,
        'runtime=Release(**_served["runtime"])',
        'runtime=Release(**_served["runtime"] | {"sha256": "0" * 64})',
    )
    ran = copy.run("converge", XDG_CACHE_HOME=str(tmp_path))
    _one_sentence(ran, "python-3.12.10-embed-amd64.zip", "group_data" if "has the sha256" in ran.out else "desk")
    assert _g16_goes_on(ran)
    assert f"{PYTHON}\\python.exe" not in apex.control("files", below=HOME, content=False)


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
    assert len([each for each in ran.out.splitlines() if "apex" in each and "key" in each.lower()]) == 1
    assert _g16_goes_on(ran)
    assert "Traceback" not in ran.out


# -- in the middle of a change
@pytest.mark.parametrize(("verb", "after_s"), [("do", 0.0), ("run", 0.0), ("run", 1.5)])
def test_the_agent_killed_in_the_middle_of_a_change(verb: str, after_s: float, copy: Desk, apex: Machine) -> None:
    """A change cut short is asked for once more by itself; a job is not: the next converge does it."""
    before = apex.sh_at("cat {}", "config")
    copy.edit(*HARMLESS)
    running = _start(copy, "HOST=apex")
    seen = _knock(apex, f'{{"verb": "kill", "name": "python.exe", "word": "{verb}"}}') if not after_s else None
    if seen is None:
        _until(lambda: any(verb in each["arguments"] for each in apex.control("processes")))
        time.sleep(after_s)
        apex.control("kill", name="python.exe", word=verb)
    elif verb == "do":
        _until(lambda: seen.poll() is not None)
        assert apex.sh_at("cat {}", "config") in (before, before.replace(HARMLESS[1], HARMLESS[2]))
    ran = _ended(running)
    assert "Traceback" not in ran.out
    if ran.code:
        _one_sentence(ran, RUNS_ON)
    _finishes(copy, "HOST=apex")
    assert "json_logs: true" in apex.sh_at("cat {}", "config")
    assert not apex.sh(f"find {apex.at(apex.path('gateway'))} -name '.new-*'")


@pytest.mark.parametrize("how", ["restart", "power"])
def test_the_machine_restarted_in_the_middle(how: str, copy: Desk, apex: Machine, desk: Desk, g16: Machine) -> None:
    """As its user restarts it, or with its power gone: between the file and the container that reads it."""
    copy.edit(*HARMLESS)
    running = _start(copy)
    _until(lambda: "json_logs: true" in apex.sh_at("cat {}", "config", check=False))
    if how == "restart":
        apex.control("reboot")
    else:
        subprocess.run(["docker", "restart", "-t", "0", apex.container], check=True, capture_output=True)
    ran = _ended(running)
    _one_sentence(ran, RUNS_ON)
    assert _g16_goes_on(ran)
    _until(lambda: desk.run("ssh", "HOST=apex", "CMD=echo there").code == 0, 120)
    _finishes(copy, "HOST=apex")
    assert "standing in" in g16.sh("su desk -c 'brain --private hello'")


# -- what the machine refuses
def test_a_full_disk_keeps_what_is_there(copy: Desk, apex: Machine, whole: None) -> None:
    """A configuration, and a release; with room again both come."""
    before = {each: apex.sh_at("cat {}", each) for each in ("config", "keys")}
    copy.edit(*HARMLESS)
    apex.control("disk", full=True)
    ran = copy.run("converge")
    _one_sentence(ran, "free some disk space")
    assert _g16_goes_on(ran)
    assert {each: apex.sh_at("cat {}", each) for each in before} == before
    apex.control("disk", full=False)
    versions = apex.sh_at("ls {}", "ollama")
    copy.edit(
        LAB_DATA, 'release=Release(**_served["ollama"])', 'release=Release(**_served["ollama"] | {"version": "9.9"})'
    )
    running = _start(copy, "HOST=apex")
    _until(lambda: any("9.9" in each for each in apex.sh_at("ls -A {}", "ollama").split()))
    apex.control("disk", full=True)
    _one_sentence(_ended(running), "free some disk space")
    assert apex.sh_at("ls {}", "ollama") == versions
    apex.control("disk", full=False)
    _finishes(copy, "HOST=apex")


def test_a_file_that_somebody_has_open(copy: Desk, apex: Machine, whole: None) -> None:
    copy.edit(*HARMLESS)
    before = apex.sh_at("cat {}", "config")
    apex.control("lock", path=CONFIG)
    _one_sentence(copy.run("converge", "HOST=apex"), CONFIG, "being used by another process")
    assert apex.sh_at("cat {}", "config") == before
    apex.control("unlock", path=CONFIG)
    _finishes(copy, "HOST=apex")


class Refusal(NamedTuple):
    """What is done to the machine and to the data, and the words of the sentence."""

    do: Callable[[Machine], object] | None
    edit: tuple[str, str, str] | None
    words: tuple[str, ...]


TASK = """from deploys.schema import ScheduledTask, Trigger
tasks = [ScheduledTask("refused", {more}, triggers=[{trigger}])]
"""
UNINSTALL = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{Windows Subsystem for Linux}"


def _without_wsl(apex: Machine) -> None:
    apex.control("unset", key=UNINSTALL, name="DisplayName")
    apex.control("installers", code=1603)


REFUSALS = {
    "no administrator": Refusal(
        lambda apex: apex.control("elevated", yes=False),
        (DATA, *VARIABLE),
        ("cannot be reached", "refuses this desk's key"),
    ),
    "no right to a file": Refusal(
        lambda apex: apex.control("acl", path=CONFIG, sddl="O:SYD:P(A;;FA;;;SY)"), None, (CONFIG, "denied")
    ),
    "access for nobody": Refusal(None, (LAB_DATA, 'user=_served["user"]', 'user="Nobody9"'), ("Nobody9",)),
    "a path over the limit": Refusal(
        None,
        (
            LAB_DATA,
            'release=Release(**_served["ollama"])',
            'release=Release(**_served["ollama"] | {"version": "9" * 260})',
        ),
        ("999", "syntax is incorrect"),
    ),
    "a task of nobody": Refusal(
        None,
        (
            DATA,
            "variables = [\n",
            TASK.format(more='["C:\\\\x.exe"], account="Nobody9"', trigger='Trigger("boot")') + "variables = [\n",
        ),
        ("task refused", "Nobody9"),
    ),
    "an installer's exit code": Refusal(_without_wsl, None, ("Windows Subsystem for Linux", "1603")),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_windows_refuses(what: str, copy: Desk, apex: Machine, whole: None) -> None:
    refusal = REFUSALS[what]
    if refusal.do:
        refusal.do(apex)
    if refusal.edit:
        copy.edit(*refusal.edit)
    ran = copy.run("converge")
    _one_sentence(ran, *refusal.words)
    assert _g16_goes_on(ran)


# -- what it takes, and what it tells
def test_one_exec_for_nothing_to_change(desk: Desk, apex: Machine) -> None:
    """Counted by the machine: the shells that sshd started, and the files that it was asked for."""
    desk.run("converge", "HOST=apex")
    apex.control("forget")
    ran = desk.run("converge", "HOST=apex")
    assert "apex: 0 changed" in ran.out
    shells = [each for each in apex.control("started") if each[0].lower().endswith("cmd.exe") and each[1] == "/c"]
    assert len(shells) == 1, shells
    assert apex.control("transferred") == []


def test_a_planted_secret_at_every_moment(copy: Desk, apex: Machine, planted: str) -> None:
    """In the middle of a converge that brings it, and of one that also brings the agent."""
    _bare(apex, python=False)
    apex.sh("rm -f /tmp/sought-enough")
    apex.control("forget")
    apex.control("seek", text=PLANTED)
    command = ["docker", "exec", apex.container, "python3", "-c", SEEK, apex.drive, PLANTED]
    looker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert looker.stdout is not None
    try:
        assert looker.stdout.readline() == "looking\n"
        ran = copy.run("converge", "HOST=apex", SECRETS_FILE=planted)
    finally:
        apex.sh("touch /tmp/sought-enough")
    looks = int(looker.communicate(timeout=30)[0])
    found = apex.control("found", path=KEYS)
    for verb in ("started", "transferred", "tasks", "registry"):
        assert PLANTED not in str(apex.control(verb)), f"it is in what `{verb}` tells"
    apex.control("seek", text="")
    print(f"{looks} looks; it was seen in:")
    for path, every in found.items():
        print(f"  {path}: {every}")
    assert ran.code == 0
    assert looks > 100
    assert KEYS in found, "it is nowhere at all: the test would see nothing"
    assert any(".new-" in path for path in found), "nobody saw it on its way: the test would see nothing"
    for path, every in found.items():
        for sddl in every:
            may = set(re.findall(r"\(A;[^;]*;[^;]*;[^;]*;[^;]*;([^)]+)\)", sddl)) - {"SY", "BA"}
            assert may <= (DOCKERS_USER if path.startswith(r"C:\litellm") else set()), f"{path} was open to {may}"
