"""Containers run by Docker Compose: started with proven files, asked for health and an answer, put back when sick."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from typing import Optional, Sequence

from .errors import Refused, why_of
from .files import Files
from .home import Home
from .programs import run
from .services import answers
from .system import Progress, State, System

PROJECT = "com.docker.compose.project"


class Compose:
    """Kind `compose`. Identity: the project's name. Spec: {"answers": URL}.

    State: {"image", "running", "answers", "untouched", "inputs"} or None. `untouched`: the container is the one that
    the last converge made. `inputs`: hashes of the files that it was started with.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        return {project: self.state(project, spec) for project, spec in asked.items()}

    def state(self, project: str, spec: State) -> Optional[State]:
        found = containers(project)
        if not found:
            return None
        container, entry = found[0], self.home.entry("compose", project)
        running = container["State"] == "running"
        return {
            "image": container["Image"],
            "running": running,
            "answers": running and answers(spec["answers"], 2),
            "untouched": len(found) == 1 and container["ID"] == entry.get("container"),
            "inputs": entry.get("inputs", {}),
        }

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, spec, file, image, inputs {path: sha256}, within_s, ask (see `_ask`) or None."""
        project = request["id"]
        self.home.remember("compose", project, spec=request["spec"])
        files = Files(self.system, self.home)
        try:
            self._fetch_image(request["image"], progress)
        except Refused:
            files.put_back_unproven(list(request["inputs"]))  # what runs now stays, and so do its files
            raise
        try:
            self._up(request, progress)
        except Refused as refused:
            back = files.put_back_unproven(list(request["inputs"]))
            if not back:
                raise
            raise self._after_put_back(request, refused, back) from refused
        self.home.prove(list(request["inputs"]))
        self._record(request)
        return {"compose": {project: self.state(project, request["spec"])}}

    def _up(self, request: State, progress: Progress) -> None:
        progress({"what": "starting"})
        _compose(request["id"], request["file"], "up", "--detach", "--force-recreate", "--remove-orphans")
        progress({"what": "waiting until it answers"})
        self._wait(request)
        if request.get("ask"):
            progress({"what": "asking for a token"})
            self._ask(request["ask"], request["id"])

    def _after_put_back(self, request: State, refused: Refused, back: Sequence[str]) -> Refused:
        try:
            _compose(request["id"], request["file"], "up", "--detach", "--force-recreate", "--remove-orphans")
            self._wait(request)
            again = "and it answers again"
        except Refused as still:
            again = f"but it is still sick ({still.why})"
        names = ", ".join(os.path.basename(each) for each in back)
        return Refused(refused.what, f"{refused.why}; the last good {names} put back, {again}", refused.fix)

    def _record(self, request: State) -> None:
        """Remember what runs now, and drop the image that only the version before needed."""
        project = request["id"]
        before = self.home.entry("compose", project).get("image")
        running = containers(project)[0]
        self.home.remember(
            "compose", project, inputs=request["inputs"], container=running["ID"], image=request["image"]
        )
        if before and before != request["image"]:
            _docker("image", "rm", before, check=False)

    @staticmethod
    def _fetch_image(image: str, progress: Progress) -> None:
        if _docker("image", "inspect", "--format", "{{.Id}}", image, check=False) is not None:
            return
        layers: dict[str, str] = {}
        process = subprocess.Popen(
            [docker(), "pull", image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        last = ""
        with process:
            for raw in process.stdout or ():
                last = raw.decode("utf-8", "replace").strip() or last
                layer, _, status = last.partition(": ")
                if status in (
                    "Pulling fs layer",
                    "Waiting",
                    "Download complete",
                    "Pull complete",
                    "Already exists",
                ):
                    layers[layer] = status
                whole = sum(status in ("Pull complete", "Already exists") for status in layers.values())
                progress({"what": f"pulling the image, {whole} of {len(layers)} layers"})
        if process.returncode:
            raise Refused(
                f"pull image {image}",
                last,
                "check the image in group_data and this machine's way to its registry",
            )

    def _wait(self, request: State) -> None:
        """Until it answers; sooner when it keeps falling over."""
        project, url = request["id"], request["spec"]["answers"]
        end = time.monotonic() + request["within_s"]
        while time.monotonic() < end:
            if answers(url, 2):
                return
            restarts = restarts_of(project)
            if restarts >= 3:
                raise Refused(
                    f"start {project}",
                    f"it fell over {restarts} times: {log_tail(project)}",
                    "correct what changed",
                )
            time.sleep(0.5)
        why = f"it does not answer at {url} within {request['within_s']} s: {log_tail(project)}"
        raise Refused(f"start {project}", why, "correct what changed")

    @staticmethod
    def _ask(ask: State, project: str) -> None:
        """One token through the door. `ask`: url, model, key_file, key_name: the key never leaves this machine."""
        key = value_in(ask["key_file"], ask["key_name"])
        body = {"model": ask["model"], "max_tokens": 1, "messages": [{"role": "user", "content": "hello"}]}
        request = urllib.request.Request(
            ask["url"],
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ask["within_s"]) as reply:
                json.load(reply)["choices"][0]["message"]
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace").replace(key, "***")
            raise Refused(
                f"get a token from {project}", f"it says {error.code}: {said[:300]}", "see what it says"
            ) from error
        except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
            raise Refused(f"get a token from {project}", why_of(error), "see its log on the machine") from error

    def remove(self, request: State, progress: Progress) -> State:
        project = request["id"]
        for each in containers(project):
            _docker("rm", "--force", each["ID"])
        label = f"label={PROJECT}={project}"
        for network in (_docker("network", "ls", "--quiet", "--filter", label) or "").split():
            _docker("network", "rm", network, check=False)
        image = self.home.entry("compose", project).get("image")
        if image:
            _docker("image", "rm", image, check=False)  # stays when somebody else's container uses it
        self.home.forget("compose", project)
        return {"compose": {project: None}}


def docker() -> str:
    program = shutil.which("docker")
    if not program:
        raise Refused(
            "use Docker",
            "there is no docker on this machine",
            "run scripts/bootstrap.sh there: it installs Docker",
        )
    return program


def _docker(*arguments: str, check: bool = True) -> Optional[str]:
    """What docker says; None when it fails and that is all right."""
    done = run([docker(), *arguments])
    if done.code == 0:
        return done.out.strip()
    if not check:
        return None
    raise Refused(f"run docker {arguments[0]}", done.why(), "see that Docker runs on this machine, then converge again")


def _compose(project: str, file: str, *arguments: str) -> None:
    """Compose as a plugin of docker or, on older systems, as a program of its own."""
    plugin = _docker("compose", "version", "--short", check=False)
    command = [docker(), "compose"] if plugin else [shutil.which("docker-compose") or "docker-compose"]
    try:
        done = run([*command, "--project-name", project, "--file", file, *arguments])
    except FileNotFoundError:
        raise Refused("use Docker Compose", "there is none on this machine", "run scripts/bootstrap.sh there") from None
    if done.code:
        raise Refused(f"start {project}", f"Docker Compose says: {done.why()}", "correct what changed")


def containers(project: str) -> list[State]:
    """[{"ID", "Image", "State"}] of the project, as `docker ps` tells."""
    said = _docker("ps", "--all", "--no-trunc", "--filter", f"label={PROJECT}={project}", "--format", "{{json .}}")
    return [json.loads(line) for line in (said or "").splitlines()]


def restarts_of(project: str) -> int:
    """How often Docker had to start it again."""
    counts = [
        _docker("inspect", "--format", "{{.RestartCount}}", each["ID"], check=False) for each in containers(project)
    ]
    return max((int(each) for each in counts if each), default=0)


def log_tail(project: str) -> str:
    """The last thing it said that looks like a reason."""
    for each in containers(project):
        done = run([docker(), "logs", "--tail", "40", each["ID"]])
        lines = [line.strip() for line in (done.out + done.err).splitlines() if line.strip()]
        telling = [line for line in lines if "rror" in line] or lines
        if telling:
            return f"it last said: {telling[-1][:300]}"
    return "it said nothing"


def value_in(path: str, name: str) -> str:
    """The value of `NAME=value` in an environment file."""
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                key, _, value = line.rstrip("\n").partition("=")
                if key == name:
                    return value
    except OSError as error:
        raise Refused(f"read {name}", why_of(error), "converge again") from error
    raise Refused(f"read {name}", f"{path} does not name it", "converge again")
