"""What a test may ask of a machine, whatever its system. `linux.py` answers for Linux, `windows.py` for Windows.

Everything that can be read at once is read at once: `look` once per session; after it no test costs a connection.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from testinfra.host import Host

from . import parse
from .desk import Expected
from .expected import TAILNET, WantedService
from .patience import CLOSE_S, DESK_S, LOOK_S, PatientSsh, TooLong

CONNECT_TIMEOUT_S = 20
NOT_ASKED = parse.Said(127, "", "it was not asked")


class Unreachable(Exception):
    """The machine cannot be asked at all: one sentence."""


@dataclass(frozen=True)
class Road:
    """How to reach a machine: the ssh_config, and the folder where its one shared connection has its socket."""

    config: Path
    sockets: Path

    def host(self, machine: Expected) -> Any:
        """By testinfra's own SSH backend, over one connection that all commands share."""
        backend = PatientSsh(
            machine.name,
            ssh_config=str(self.config),
            controlpath=str(self.sockets / machine.name),
            timeout=CONNECT_TIMEOUT_S,
            sudo=bool(machine.data.get("_sudo")),
        )
        return Host(backend)

    def hand(self, machine: Expected, command: str, text: str) -> bytes:
        """What a command on the machine says to this text as its input, which so is in no argument. Raises TooLong."""
        path = f"-oControlPath={self.sockets / machine.name}"
        line = ["ssh", "-F", str(self.config), path, machine.name, command]
        try:
            return subprocess.run(line, input=text.encode(), capture_output=True, timeout=LOOK_S).stdout
        except subprocess.TimeoutExpired as late:
            raise TooLong(late.stdout or b"", LOOK_S) from None

    def knock(self, machine: Expected) -> str:
        """What the running sshd answers to somebody who offers nothing (a connection of its own); "" when it hangs."""
        options = ["ControlPath=none", "PreferredAuthentications=none", f"ConnectTimeout={CONNECT_TIMEOUT_S}"]
        line = ["ssh", "-F", str(self.config), *(f"-o{each}" for each in options), machine.name, "true"]
        try:
            done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=DESK_S)
        except subprocess.TimeoutExpired:
            return ""
        return done.stderr.decode(errors="replace")

    def leave(self, machine: Expected) -> None:
        """Close the shared connection; it ends by itself where that hangs."""
        path = f"-oControlPath={self.sockets / machine.name}"
        line = ["ssh", "-F", str(self.config), path, "-Oexit", machine.name]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=CLOSE_S)


class Tailnet(NamedTuple):
    """What Tailscale says of itself. `carried`: those of its addresses that the machine's interfaces really have.

    `unattended`: whether it is up with nobody logged on; None where it always is.
    """

    state: str
    online: bool
    version: str
    addresses: tuple[str, ...]
    carried: tuple[str, ...]
    unattended: bool | None = None


class Service(NamedTuple):
    """A service of ours as its manager knows it. `pids`: processes that may be its own.

    `definition`: everything that its definition says, by names of the system's own; `edits`: what was put beside it.
    """

    running: bool
    enabled: bool
    pids: frozenset[int]
    definition: Mapping[str, str]
    edits: tuple[str, ...] = ()


class Process(NamedTuple):
    """A running process. `program` is the file that it really runs, ` (deleted)` when that is gone.

    `whole`: whether `program` is a whole path; `environment` is None where the system tells it to nobody.
    """

    pid: int
    account: str
    privileged: bool
    program: str
    environment: Mapping[str, str] | None
    whole: bool = True


class Container(NamedTuple):
    """The gateway's container. `digests` are the repository digests of the image that it really runs."""

    id: str
    running: bool
    image: str
    digests: tuple[str, ...]


class Question(NamedTuple):
    """Something that a client asks its gateway."""

    route: str
    stream: bool


class Machine(ABC):
    """One machine, looked at. What it could not tell is an empty or missing value, and `why` has its reason."""

    def __init__(self, expected: Expected, road: Road) -> None:
        self.expected = expected
        self.name = expected.name
        self.road = road
        self.host = road.host(expected)
        self.said: dict[str, parse.Said] = {}  # by the names of what was asked

    @abstractmethod
    def look(self, questions: list[Question]) -> None:
        """Ask everything. Raises Unreachable."""

    @abstractmethod
    def definition_of(self, service: WantedService) -> Mapping[str, str]:
        """What the definition of that service must say: all of it, as `Service.definition` has it."""

    @abstractmethod
    def thing(self, kind: str, thing: Mapping[str, Any]) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """(what was found, what is wanted) of a thing of the system's own, such as a variable or a firewall rule."""

    def exec(self, line: str, boundary: str = "", within_s: float = LOOK_S) -> Any:
        """What testinfra has of one command line. Raises Unreachable when it hangs, RuntimeError when ssh fails."""
        try:
            return self.host.run(line, within_s=within_s)
        except TooLong as late:
            raise Unreachable(late.sentence(self.name, boundary)) from None

    def here(self, command: tuple[str, ...]) -> tuple[str, ...]:
        """A command with the machine's own tailnet address filled in."""
        address = self.tailnet.addresses[0] if self.tailnet and self.tailnet.addresses else ""
        return tuple(address if each == TAILNET else each for each in command)

    def why(self, thing: str) -> str:
        """Why the machine could not tell of a thing (`sshd`, `tailscale`, `containers` ...); empty when it could."""
        said = self.said.get(thing, NOT_ASKED)
        return said.trouble if said.code else ""

    def _json(self, name: str) -> Any:
        """What a command said, as JSON; None when it failed."""
        said = self.said.get(name, NOT_ASKED)
        try:
            return json.loads(said.out) if said.code == 0 else None
        except ValueError:
            return None

    def _document(self, name: str) -> dict[str, Any]:
        """What a command said, as one JSON object; empty when it failed or said something else."""
        found = self._json(name)
        return found if isinstance(found, dict) else {}

    def _noted(self) -> list[Mapping[str, Any]] | None:
        """The manifest; None when it is none: somebody may have written into it."""
        found = self._json("manifest")
        whole = isinstance(found, list) and all(
            isinstance(each, dict) and {"kind", "id"} <= set(each) for each in found
        )
        return found if whole else None

    ssh_settings: Mapping[str, str]
    ssh_methods: list[str] | None
    tailnet: Tailnet | None
    lan_addresses: list[str]
    listeners: list[parse.Listener]
    ours: set[int]  # ids of the processes that belong to our services and our container
    services: Mapping[str, Service]
    copies: Mapping[str, tuple[str | None, str | None]]  # {service's name: sha256 of its secrets' copy, of the file}
    owners: Mapping[str, Process]  # {service's name: whatever listens on its port}
    cards: list[str]  # names of its GPUs
    ollama: Mapping[str, parse.Reply]  # version, tags, ps
    container: Container | None
    config: str | None  # text of the gateway's config.yaml
    gateway: Mapping[str, parse.Reply]  # health, details, models, info, no-key-models, no-key-chat, wrong-key
    answers: Mapping[Question, parse.Reply]
    brain: parse.Said | None
    files: Mapping[str, parse.FileState]
    unpacked: Mapping[str, list[int]]  # files of Ollama's release: {relative path: [size, seconds, ...]}
    unpacked_once: Mapping[str, list[int]] | None  # the same, as noted when it was unpacked
    changers: list[str] | None  # who besides administrators may change the folder that the agent's home lies in
    manifest: list[Mapping[str, Any]] | None
    provenance: Mapping[str, Any] | None
    readable: Mapping[str, str]  # {path: text} of our files that any user of the machine may read
    visible: Mapping[str, str]  # {what: text} of what any user of the machine sees: arguments, containers
