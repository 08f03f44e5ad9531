"""Containers, volumes and the network of one lab: made when missing, started when stopped, and all labelled."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from tests.lab.settings import Lab
from tests.lab.shell import Trouble, run, succeeds
from tests.lab.tools import key_of

FOUND, STARTED, MADE = "running", "started", "made"


class Docker:
    """Docker's command line, for one lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def ensure_network(self) -> None:
        """The cable between the machines: internal, so that nothing gets out of it."""
        if succeeds(["docker", "network", "inspect", self.lab.network]):
            return
        subnet = f"{self.lab.prefix}.0/24"
        command = ["docker", "network", "create", "--internal", "--subnet", subnet, "--label", self.lab.label]
        run(
            [*command, self.lab.network], trouble=f"cannot make the lab's network {subnet} (another name gives another)"
        )

    def ensure_volume(self, name: str) -> None:
        run(["docker", "volume", "create", "--label", self.lab.label, name])

    def drop_volume(self, name: str) -> None:
        if succeeds(["docker", "volume", "inspect", name]):
            run(["docker", "volume", "rm", "-f", name])

    def inspect(self, role: str) -> dict[str, Any] | None:
        """What Docker knows of the container, or None where there is none."""
        command = ["docker", "container", "inspect", self.lab.container(role)]
        done = subprocess.run(command, capture_output=True, timeout=60)
        if done.returncode:
            return None
        found: dict[str, Any] = json.loads(done.stdout)[0]
        return found

    def revive(self, role: str) -> bool:
        """Bring an existing container back to running on its network. False if there is none, or it can't be."""
        found = self.inspect(role)
        if found is None:
            return False
        name = self.lab.container(role)
        try:
            if found["State"]["Paused"]:
                run(["docker", "unpause", name])
            if self.lab.network not in found["NetworkSettings"]["Networks"]:
                run(["docker", "network", "connect", "--ip", self.lab.ip(role), self.lab.network, name])
            if not found["State"]["Running"]:
                run(["docker", "start", name])
        except Trouble:
            run(["docker", "rm", "-f", name])
            return False
        return True

    def create(self, role: str, image: str, options: Sequence[str], command: Sequence[str], spec: str = "") -> None:
        """Create, not start, a container at its address on the lab's network."""
        name, lab = self.lab.container(role), self.lab
        words = ["docker", "create", "--name", name, "--label", lab.label, "--label", f"spec={spec}"]
        words += ["--network", lab.network, "--ip", lab.ip(role), "--dns", lab.ip("names"), "--restart", "no"]
        run([*words, *options, image, *command], trouble=f"cannot make {name}")

    def service(
        self,
        role: str,
        image: str,
        options: Sequence[str],
        command: Sequence[str],
        inputs: Mapping[str, Any] | None = None,
    ) -> str:
        """A server of the lab, running as these arguments and `inputs` say; made anew when they have changed."""
        spec = key_of([image, list(options), list(command), dict(inputs or {})])
        found = self.inspect(role)
        if found and found["Config"]["Labels"].get("spec") == spec:
            was_running = found["State"]["Running"] and not found["State"]["Paused"]
            if self.revive(role):
                return FOUND if was_running else STARTED
        elif found:
            run(["docker", "rm", "-f", self.lab.container(role)])
        self.create(role, image, ["--init", *options], command, spec)
        run(["docker", "start", self.lab.container(role)])
        return MADE

    def execute(self, role: str, *command: str, stdin: str = "", timeout_s: float = 60, trouble: str = "") -> str:
        """Run a command in a container and return what it printed."""
        words = ["docker", "exec", "-i", self.lab.container(role), *command]
        return run(words, stdin=stdin, timeout_s=timeout_s, trouble=trouble or f"on {role}, {command[0]} failed")

    def remove_all(self) -> list[str]:
        """Remove every container, network and volume of this lab, by its label. Returns what went."""
        gone: list[str] = []
        mine = ["--filter", f"label={self.lab.label}"]
        listings: dict[str, list[str]] = {
            "container": ["docker", "ps", "-a", "--format", "{{.Names}}", *mine],
            "network": ["docker", "network", "ls", "--format", "{{.Name}}", *mine],
            "volume": ["docker", "volume", "ls", "--format", "{{.Name}}", *mine],
        }
        removals = {"container": ["rm", "-f", "-v"], "network": ["network", "rm"], "volume": ["volume", "rm", "-f"]}
        for kind, listing in listings.items():
            names = run(listing).split()
            if names:
                run(["docker", *removals[kind], *names])
                gone += [f"{kind} {name}" for name in names]
        return gone
