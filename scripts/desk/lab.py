"""From nothing to an answer: the lab's machines, their secrets, converge, and a question asked on G16."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.desk import converge, pyinfra, road
from scripts.desk.desk import Desk, Trouble, Wish, desk_of, lab_home, running_lab, secret_names
from scripts.desk.stopwatch import Stopwatch

QUESTION = "What runs here?"


def run(desk: Desk, wish: Wish) -> int:
    """Idempotent: on a running lab only what is missing is done."""
    watch = Stopwatch()
    with watch.part("the lab"):
        if code := lab_command(desk, "up"):
            return code
    lab_desk = desk_of(Wish(lab=True))
    machines = pyinfra.inventory(lab_desk)
    make_secrets(lab_home() / "secrets.env", machines, running_lab()["clouds"])
    lab_desk = desk_of(Wish(lab=True))  # again: now it knows which names are the lab's
    print()
    with watch.part("converge"):
        if code := converge.run(lab_desk, Wish(lab=True, verbose=wish.verbose)):
            return code
    with watch.part("the answer"):
        if code := question(machines):
            return code
    timings = {part: float(each) for part, each in running_lab().get("timings_s", {}).items()}
    shown = {part: each for part, each in timings.items() if 0.05 < each <= watch.parts["the lab"]}
    print(f"\n{watch.table({'the lab': shown})}")
    print(
        "\nIt stays up: make plan LAB=1, make status LAB=1, make ssh HOST=g16 LAB=1. make lab-down removes every trace."
    )
    return 0


def lab_command(desk: Desk, command: str) -> int:
    """`python -m tests.lab <command>`, its output passed through."""
    sys.stdout.flush()
    line = [desk.program("python"), "-m", "tests.lab", command]
    return subprocess.run(line, cwd=desk.root, stdin=subprocess.DEVNULL).returncode


def make_secrets(path: Path, machines: list[dict[str, Any]], clouds: dict[str, str]) -> None:
    """Values for all secrets that the data names and the file does not have yet. Nobody else can ever read it."""
    missing = sorted({name for each in machines for name in _named(each["data"])} - set(secret_names(path)))
    if not missing:
        return
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        for name in missing:
            value = clouds["slack"] if name.startswith("SLACK_") else f"sk-{secrets.token_hex(32)}"
            file.write(f"{name}={value}\n")


def _named(data: Any) -> Iterator[str]:
    """The names of secrets in the JSON inventory: {"name": "IN_CAPITALS"} and nothing else."""
    if isinstance(data, dict):
        if set(data) == {"name"} and isinstance(data["name"], str) and data["name"].isupper():
            yield data["name"]
        data = list(data.values())
    if isinstance(data, list):
        for each in data:
            yield from _named(each)


def question(machines: list[dict[str, Any]]) -> int:
    """Ask where the client is, as a person would, and show the transcript."""
    client = next((each for each in machines if "brain" in each["data"]), None)
    if client is None:
        raise Trouble("no machine of the lab has a `brain` in its data: nobody can ask")
    command = f'brain "{QUESTION}"'
    print(f"\n{client['data'].get('ssh_user', '')}@{client['name']}:~$ {command}", flush=True)
    done = subprocess.run([*road.command(client, ("-T",)), command], stdin=subprocess.DEVNULL)
    return done.returncode
