"""Docker's and Compose's command lines: where they are and how they reach their engine, the machine's half says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Optional, Sequence

from .errors import Refused
from .programs import run
from .system import Progress, State, System

PROJECT = "com.docker.compose.project"
HALF_MADE = re.compile(r"([0-9a-f]{12})_.+")
LAYER_WORDS = ("Pulling fs layer", "Waiting", "Download complete", "Pull complete", "Already exists")


class Docker:
    """What we ask of Docker, for one machine."""

    def __init__(self, system: System) -> None:
        way = system.docker()
        self.folders: Sequence[str] = way["folders"]
        self.environment: dict[str, str] = way["environment"]

    def program(self) -> str:
        """Its path: PATH first, then where its installer puts it."""
        found = shutil.which("docker") or shutil.which("docker", path=os.pathsep.join(self.folders))
        if not found:
            raise Refused(
                "use Docker", "there is no docker on this machine", "run scripts/bootstrap.sh there: it installs Docker"
            )
        return found

    def ask(self, *arguments: str) -> Optional[str]:
        """What docker says; None when it fails and that is all right."""
        done = run([self.program(), *arguments], environment=self.environment)
        return done.out.strip() if done.code == 0 else None

    def do(self, *arguments: str) -> str:
        """What docker says. Raises Refused when it fails."""
        done = run([self.program(), *arguments], environment=self.environment)
        if done.code:
            fix = "see that Docker runs on this machine, then converge again"
            raise Refused(f"run docker {arguments[0]}", done.why(), fix)
        return done.out.strip()

    # -- projects
    def up(self, project: str, file: str, *more: str) -> None:
        """Have Compose start the project.

        Compose that was ended in the middle of a replacement leaves it half made, and every later `up` fails at its
        name. So that goes first; and once more after a failure: another Compose may have been at it just now.
        """
        command = ["up", "--detach", *more, "--remove-orphans"]
        self._clear(project)
        try:
            self._compose(project, file, *command)
        except Refused:
            if not self._clear(project):
                raise
            self._compose(project, file, *command)

    def _clear(self, project: str) -> bool:
        """Remove what Compose left half made. Whether there was some."""
        gone = unfinished(self.containers(project))
        for each in gone:
            self.ask("rm", "--force", each["ID"])
        return bool(gone)

    def _compose(self, project: str, file: str, *arguments: str) -> None:
        """Compose as a plugin of docker or, on older systems, as a program of its own."""
        plugin = self.ask("compose", "version", "--short")
        command = [self.program(), "compose"] if plugin else [shutil.which("docker-compose") or "docker-compose"]
        try:
            done = run([*command, "--project-name", project, "--file", file, *arguments], environment=self.environment)
        except FileNotFoundError:
            why, fix = "there is none on this machine", "run scripts/bootstrap.sh there"
            raise Refused("use Docker Compose", why, fix) from None
        if done.code:
            raise Refused(f"start {project}", f"Docker Compose says: {done.why()}", "correct what changed")

    def containers(self, project: str) -> list[State]:
        """[{"ID", "Image", "Names", "State"}] of the project, as `docker ps` tells; half-made ones last."""
        label = f"label={PROJECT}={project}"
        said = self.do("ps", "--all", "--no-trunc", "--filter", label, "--format", "{{json .}}")
        found = [json.loads(line) for line in said.splitlines()]
        left_over = unfinished(found)
        return [each for each in found if each not in left_over] + left_over

    def restarts_of(self, project: str) -> int:
        """How often Docker had to start it again."""
        counts = [self.ask("inspect", "--format", "{{.RestartCount}}", each["ID"]) for each in self.containers(project)]
        return max((int(each) for each in counts if each), default=0)

    def log_tail(self, project: str) -> str:
        """The last thing it said that looks like a reason."""
        for each in self.containers(project):
            done = run([self.program(), "logs", "--tail", "40", each["ID"]], environment=self.environment)
            lines = [line.strip() for line in (done.out + done.err).splitlines() if line.strip()]
            telling = [line for line in lines if "rror" in line] or lines
            if telling:
                return f"it last said: {telling[-1][:300]}"
        return "it said nothing"

    def fetch_image(self, image: str, progress: Progress) -> None:
        """Pull the image if it is not there. Raises Refused with the engine's last words."""
        if self.ask("image", "inspect", "--format", "{{.Id}}", image) is not None:
            return
        layers: dict[str, str] = {}
        process = subprocess.Popen(
            [self.program(), "pull", image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
        )
        last = ""
        with process:
            for raw in process.stdout or ():
                last = raw.decode("utf-8", "replace").strip() or last
                layer, _, status = last.partition(": ")
                if status in LAYER_WORDS:
                    layers[layer] = status
                whole = sum(status in ("Pull complete", "Already exists") for status in layers.values())
                progress({"what": f"pulling the image, {whole} of {len(layers)} layers"})
        if process.returncode:
            fix = "check the image in group_data and this machine's way to its registry"
            raise Refused(f"pull image {image}", last, fix)


def unfinished(found: Sequence[State]) -> list[State]:
    """Which of a project's containers are replacements that Compose never finished.

    It names them after the one that they are for, and gives them their own name when that one is gone. What runs stays,
    unless the one that it was to replace runs too.
    """
    running = [each["ID"] for each in found if each["State"] == "running"]
    left_over = []
    for each in found:
        mark = HALF_MADE.fullmatch(each["Names"])
        others = [other for other in running if other != each["ID"]]
        if mark and (each["State"] != "running" or any(other.startswith(mark.group(1)) for other in others)):
            left_over.append(each)
    return left_over
