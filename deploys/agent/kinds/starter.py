"""Starts a Compose project with the machine, where its engine alone cannot: it comes with a logon, before the tailnet.

The engine starts a container again by itself, but tries only once: on an address that is not there yet that fails for
good. So this waits for the engine, then for the address, then starts what does not answer, until it answers.
"""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Callable, Optional

from ..errors import Refused, why_of
from ..home import LEASE_S, Home
from ..system import State, System
from .dockers import Docker
from .services import answers

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 60.0


class Starter:
    """`order`: {"project", "file", "address", "answers": URL, "within_s", "home": the agent's}.

    It never stops a container. Its words go to stdout, which the task that runs it keeps as a log.
    """

    def __init__(self, system: System, order: State) -> None:
        self.order = order
        self.docker = Docker(system)
        self.home = Home(system, order["home"])

    def run(self) -> int:
        """0 when it answers; until then it goes on."""
        project, pause_s = self.order["project"], FIRST_PAUSE_S
        while not answers(self.order["answers"], 2):
            self._until(self.docker.trouble)
            self._until(self._no_address)
            self._until(self._somebody_converges)
            try:
                self.docker.up(project, self.order["file"])
                if self._answers_in_time():
                    break
                _say(f"{project} does not answer at {self.order['answers']}: {self.docker.log_tail(project)}")
            except (OSError, Refused) as problem:
                _say(f"{project} does not start: {getattr(problem, 'why', '') or why_of(problem)}")
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        _say(f"{project} answers at {self.order['answers']}")
        return 0

    def _until(self, trouble: Callable[[], Optional[str]]) -> None:
        """Wait until `trouble` tells none; each new one is said once."""
        said, pause_s = None, FIRST_PAUSE_S
        while True:
            why = trouble()
            if why is None:
                return
            if why != said:
                _say(f"waiting: {why}")
                said = why
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _no_address(self) -> Optional[str]:
        """Whether the machine lacks the address: only one's own can be bound."""
        address = self.order["address"]
        try:
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
                probe.bind((address, 0))
        except OSError:
            return f"this machine does not have the address {address}"
        return None

    def _somebody_converges(self) -> Optional[str]:
        """A desk that is at it starts the project itself."""
        held = self.home.read("lease.json") or {}
        return "a desk is converging this machine" if 0 < held.get("until", 0) - time.time() <= LEASE_S else None

    def _answers_in_time(self) -> bool:
        end = time.monotonic() + self.order["within_s"]
        while time.monotonic() < end:
            if answers(self.order["answers"], 2):
                return True
            time.sleep(1)
        return False


def start(system: System, path: str) -> int:
    """Do what the order in that file says."""
    try:
        with open(path, encoding="utf-8") as file:
            order: State = json.load(file)
    except (OSError, ValueError) as problem:
        _say(f"the order {path} cannot be read ({why_of(problem)}): converge this machine")
        return 1
    return Starter(system, order).run()


def _say(sentence: str) -> None:
    """Straight to the descriptor: no word is lost in a buffer when the task is ended."""
    with os.fdopen(os.dup(1), "wb", buffering=0) as out:
        out.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}\n".encode())
