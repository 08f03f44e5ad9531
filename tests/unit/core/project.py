"""A small project on this very machine: pyinfra's own command line, the real operations, the real agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PYINFRA = Path(sys.executable).parent / "pyinfra"
ACCESS = "administrators" if os.geteuid() == 0 else f"only {os.environ.get('USER', '')}"

WRAPPER = """#!/bin/sh
echo "$@" >> {starts}
exec {python} -I -X utf8 "$@"
"""
GROUP_DATA = """
from deploys.schema import Agent

agent = Agent(python={python!r}, home={home!r})
"""
FRAME = """
from pyinfra import host

from deploys.facts import secrets
from deploys.operations import files
from deploys.roles import machine, retired
from deploys.schema import Secret

PLACE, ACCESS = {place!r}, {access!r}

if "here" in host.groups:
    with machine.converging():
{body}
        retired.remove()
"""


@dataclass
class Run:
    code: int
    output: str
    report: list[dict[str, Any]]
    command_lines: str = ""

    def said(self, event: str) -> list[tuple[str, str]]:
        return [(each["kind"], each["id"]) for each in self.report if each["event"] == event]

    @property
    def refusals(self) -> list[str]:
        return [each["sentence"] for each in self.report if each["event"] == "refused"]


@dataclass
class Project:
    """`place` is what it manages; `starts` counts the agent's starts."""

    folder: Path
    others: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.place = self.folder / "place"
        self.home = self.folder / "agent home".replace(" ", "-")
        self.starts_file = self.folder / "starts"
        wrapper = self.folder / "python-that-counts"
        wrapper.write_text(WRAPPER.format(starts=self.starts_file, python=sys.executable))
        wrapper.chmod(0o755)
        (self.folder / "inventory.py").write_text(f'here = [("@local", {{}})]\n{self.others}\n')
        (self.folder / "group_data").mkdir()
        data = GROUP_DATA.format(python=str(wrapper), home=str(self.home))
        (self.folder / "group_data" / "all.py").write_text(data)
        self.secrets_file = self.folder / "secrets.env"
        self.secrets_file.touch(0o600)

    def wants(self, *lines: str) -> None:
        """The body of the deploy, a line each."""
        body = "\n".join(f"        {line}" for line in lines)
        (self.folder / "deploy.py").write_text(FRAME.format(place=str(self.place), access=ACCESS, body=body))

    @property
    def starts(self) -> list[str]:
        """The verbs that the agent was started with since the last call."""
        if not self.starts_file.exists():
            return []
        verbs = [line.split()[-1] if ".pyz " in line else "send" for line in self.starts_file.read_text().splitlines()]
        self.starts_file.unlink()
        return verbs

    def run(self, *options: str, watch: bool = False, report: bool = True) -> Run:
        """`pyinfra inventory.py deploy.py`; `watch`: also gather every process's command line while it runs."""
        log = self.folder / "report"
        log.unlink(missing_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SECRETS", "DESK"))}
        environment |= {"PYTHONPATH": str(ROOT), "SECRETS_FILE": str(self.secrets_file), **self.environment}
        environment |= {"DESK_REPORT": str(log)} if report else {}
        command = [str(PYINFRA), "inventory.py", "deploy.py", *options]
        done = threading.Event()
        seen: set[bytes] = set()
        watcher = threading.Thread(target=_watch, args=(done, seen))
        if watch:
            watcher.start()
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        done.set()
        if watch:
            watcher.join()
        entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return Run(ran.returncode, ran.stdout, entries, "\n".join(each.decode(errors="replace") for each in seen))

    def plan(self, *options: str) -> Run:
        return self.run("--dry", *options)

    def converge(self, *options: str) -> Run:
        return self.run("-y", *options)


def _watch(done: threading.Event, seen: set[bytes]) -> None:
    while not done.is_set():
        for each in os.scandir("/proc"):
            if each.name.isdigit():
                try:
                    seen.add(Path(each.path, "cmdline").read_bytes())
                except OSError:
                    continue
        done.wait(0.005)  # a process of ours lives ten times as long
