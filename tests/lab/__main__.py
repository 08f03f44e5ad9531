"""The lab's command line: `python -m tests.lab up|down|status|exec`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys

from tests.lab.containers import Docker
from tests.lab.docker_engine import answers
from tests.lab.settings import LAST_BYTE, Lab
from tests.lab.shell import Trouble
from tests.lab.steps import Steps
from tests.lab.up import locked, up


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="The lab: real machines on one computer.")
    parser.add_argument("--name", default=os.environ.get("LAB_NAME", "lab"), help="default: $LAB_NAME, else lab")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, says in (
        ("up", "bring the lab up, or repair what is missing of it"),
        ("down", "remove every trace of it; what it downloaded and built stays cached"),
        ("status", "what runs"),
    ):
        commands.add_parser(command, help=says).add_argument("--name", default=argparse.SUPPRESS)
    execute = commands.add_parser("exec", help="run a command as root in one of its containers")
    execute.add_argument("--name", default=argparse.SUPPRESS)
    execute.add_argument("role", choices=list(LAST_BYTE))
    execute.add_argument("words", nargs="+", metavar="command")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        lab = Lab(options.name)
        if options.command == "exec":
            _execute(lab, options.role, options.words)
        return {"up": _up, "down": _down, "status": _status}[options.command](lab)
    except Trouble as trouble:
        print(f"lab: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted", file=sys.stderr)
        return 130


def _up(lab: Lab) -> int:
    steps = Steps()
    found = up(lab, steps)
    print("\nminutes by part:")
    print(steps.table())
    for what, how in found["built"].items():
        print(f"  {what}: {how}")
    addresses = ", ".join(f"{name} {machine['tailnet_ip']}" for name, machine in found["machines"].items())
    print(f"lab {lab.name!r} is up: {addresses}; its description is {lab.state}/lab.json")
    return 0


def _down(lab: Lab) -> int:
    with locked(lab):
        gone = Docker(lab).remove_all() if answers() else []
        shutil.rmtree(lab.state, ignore_errors=True)
    (lab.states / f"{lab.name}.lock").unlink(missing_ok=True)
    print(f"lab {lab.name!r} is gone: {len(gone)} containers, networks and volumes; the cache stays in {lab.cache}")
    return 0


def _status(lab: Lab) -> int:
    description = lab.state / "lab.json"
    if not description.exists() or not answers():
        print(f"lab {lab.name!r} is not up: make lab")
        return 1
    known = json.loads(description.read_text())
    docker = Docker(lab)
    everything_runs = True
    for role in LAST_BYTE:
        found = docker.inspect(role)
        state = found["State"]["Status"] if found else "missing"
        everything_runs &= state == "running"
        tailnet = known["machines"].get(role, known.get(role, {})).get("tailnet_ip", "")
        print(f"{lab.container(role):<20}{state:<10}{lab.ip(role):<15}{tailnet}")
    return 0 if everything_runs else 1


def _execute(lab: Lab, role: str, words: list[str]) -> None:
    terminal = ["-it"] if sys.stdin.isatty() and sys.stdout.isatty() else ["-i"]
    os.execvp("docker", ["docker", "exec", *terminal, lab.container(role), *words])


if __name__ == "__main__":
    sys.exit(main())
