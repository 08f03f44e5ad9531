"""A small project whose machine is the stand-in Windows: pyinfra's own command, the real operations, the real agent."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploys.facts.zipapp import file_name
from tests.windows.benches import StandInBench
from tests.windows.standin.machine import PYTHON, Machine
from tests.windows.standin.python import World

from .project import Project

HOME = StandInBench.home
AGENT = rf"{HOME}\{file_name()}"

# What pyinfra starts here in place of that machine's Python: it hands the line over, and gives what comes back.
RELAY = """#!{python} -I
import json, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    line.sendall(json.dumps([sys.argv[-1], sys.stdin.readline()]).encode() + b"\\n")
    code, out, err = json.loads(line.makefile().readline() or '[1, "", "away"]')
sys.stdout.write(out)
sys.stderr.write(err)
sys.exit(code)
"""
DATA = """
from deploys.schema import *

agent = Agent(python={python!r}, home={home!r})
{lines}
"""


@dataclass
class Elsewhere:
    """The project, and the machine that it is about. `verbs`: what the agent there was asked."""

    project: Project
    machine: Machine
    bench: StandInBench
    relay: Path
    verbs: list[str]
    away: int = 0  # how many requests find nobody after a restart

    def has(self, *lines: str) -> None:
        """What the data of the machine says; its deploy is the role system."""
        text = DATA.format(python=str(self.relay), home=HOME, lines="\n".join(lines))
        (self.project.folder / "group_data" / "all.py").write_text(text)
        self.project.wants("from deploys.roles import system", "system.apply()")

    def entry(self, kind: str, name: str) -> dict[str, Any]:
        """What the agent there keeps of a resource."""
        managed = json.loads(self.machine.drive.read(rf"{HOME}\managed.json"))
        return next((each for each in managed if (each["kind"], each["id"]) == (kind, name)), {})

    def ask(self, verb: str, line: str) -> list[Any] | None:
        """One start of the agent; None when the machine is away."""
        if self.away:
            self.away -= 1
            return None
        self.verbs.append(verb)
        command = [PYTHON, "-I", "-X", "utf8", AGENT, verb]
        process = self.machine.processes.start(command, self.machine.process(), given=line.encode(), has_input=True)
        assert process.ended.wait(60)
        answer = [process.code, process.out.decode("ascii"), process.err.decode()]
        if self.machine.reboot_asked:
            self.away = 2
            self.machine.reboot()
            self.machine.registry.writer = "agent"
        return answer


@contextmanager
def elsewhere(folder: Path, machine: Machine, world: World) -> Iterator[Elsewhere]:
    """The stand-in machine behind a socket, and a project that converges it."""
    bench = StandInBench(machine, world)
    machine.drive.write(AGENT, b"PK")
    place = folder / "desk"
    place.mkdir()
    made = Elsewhere(Project(place), machine, bench, place / "python-there", [])
    address = str(place / "line")
    made.relay.write_text(RELAY.format(python=sys.executable, address=address))
    made.relay.chmod(0o755)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            answer = made.ask(*json.loads(self.rfile.readline()))
            self.wfile.write(json.dumps(answer).encode() + b"\n" if answer else b"")

    with socketserver.ThreadingUnixStreamServer(address, Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        server.shutdown()
