"""Docker's and Compose's command lines: where they are and how they reach their engine, the machine's half says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from typing import Optional, Sequence

from ..errors import Refused
from ..programs import NO_WINDOW, Done, run
from ..system import Progress, State, System

PROJECT = "com.docker.compose.project"
HALF_MADE = re.compile(r"([0-9a-f]{12})_.+")
LAYER_WORDS = ("Pulling fs layer", "Waiting", "Download complete", "Pull complete", "Already exists")


class Docker:
    """What we ask of Docker, for one machine."""

    def __init__(self, system: System) -> None:
        way = system.docker()
        self.folders: Sequence[str] = way["folders"]
        self.environment: dict[str, str] = way["environment"]
        self.patience_s: float = way["patience_s"]
        self.fixes: dict[str, str] = way["fixes"]

    def found(self) -> Optional[str]:
        """Its path: PATH first, then where its installer puts it; None where there is none."""
        return shutil.which("docker") or shutil.which("docker", path=os.pathsep.join(self.folders))

    def program(self) -> str:
        found = self.found()
        if not found:
            raise Refused("use Docker", "there is no docker on this machine", self.fixes["missing"])
        return found

    def run(self, *arguments: str, timeout_s: float = 300) -> Done:
        return run([self.program(), *arguments], timeout_s, self.environment)

    def ask(self, *arguments: str) -> Optional[str]:
        """What docker says; None when it fails and that is all right."""
        done = self.run(*arguments)
        return done.out.strip() if done.code == 0 else None

    def do(self, *arguments: str) -> str:
        """What docker says. Raises Refused when it fails."""
        done = self.run(*arguments)
        if done.code:
            raise Refused(f"run docker {arguments[0]}", done.why(), self.fixes["stopped"])
        return done.out.strip()

    def trouble(self) -> Optional[str]:
        """Why the engine does not answer; None when it does."""
        if not self.found():
            return "there is no docker on this machine"
        done = self.run("version", "--format", "{{.Server.Version}}", timeout_s=30)
        return f"Docker does not answer: {done.why()}" if done.code else None

    def wait(self, progress: Progress) -> None:
        """Until the engine answers, for as long as it takes one to start here. Raises Refused."""
        end = time.monotonic() + self.patience_s
        while True:
            why = self.trouble()
            if why is None:
                return
            if time.monotonic() >= end:
                raise Refused("use Docker", why, self.fixes["stopped" if self.found() else "missing"])
            progress({"what": "waiting for Docker"})
            time.sleep(1)

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
            raise Refused("use Docker Compose", "there is none on this machine", self.fixes["missing"]) from None
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
            done = self.run("logs", "--tail", "40", each["ID"])
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
            creationflags=NO_WINDOW,
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
