"""Containers run by Docker Compose: started with proven files, asked for health and an answer, put back when sick."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from typing import Optional, Sequence

from .dockers import PROJECT, Docker
from .errors import Refused, why_of
from .files import Files
from .home import Home
from .services import answers
from .system import Progress, State, System


class Compose:
    """Kind `compose`. Identity: the project's name. Spec: {"answers": URL}.

    State: {"image", "running", "answers", "untouched", "inputs"} or None. `untouched`: the container is the one that
    the last converge made. `inputs`: hashes of the files that it was started with.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home
        self.docker = Docker(system)

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        return {project: self.state(project, spec) for project, spec in asked.items()}

    def state(self, project: str, spec: State) -> Optional[State]:
        found = self.docker.containers(project)
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
            self.docker.fetch_image(request["image"], progress)
        except Refused:
            files.put_back_unproven(list(request["inputs"]))  # what runs now stays, and so do its files
            raise
        try:
            self._up(request, progress)
        except Refused as refused:
            back = files.put_back_unproven(list(request["inputs"]))
            if not back:
                raise
            raise self._after_put_back(request, refused, back, progress) from refused
        self.home.prove(list(request["inputs"]))
        self._record(request)
        return {"compose": {project: self.state(project, request["spec"])}}

    def _up(self, request: State, progress: Progress) -> None:
        self._replace(request, progress)
        progress({"what": "waiting until it answers"})
        self._wait(request)
        if request.get("ask"):
            progress({"what": "asking for a token"})
            self._ask(request["ask"], request["id"])

    def _replace(self, request: State, progress: Progress) -> None:
        """Ended between the old container and the new one, nothing would answer until the next `up`: not to be cut."""
        progress({"what": "starting", "uncut": True})
        self.docker.up(request["id"], request["file"], "--force-recreate")

    def _after_put_back(self, request: State, refused: Refused, back: Sequence[str], progress: Progress) -> Refused:
        try:
            self._replace(request, progress)
            progress({"what": "waiting until the last good one answers"})
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
        running = self.docker.containers(project)[0]
        self.home.remember(
            "compose", project, inputs=request["inputs"], container=running["ID"], image=request["image"]
        )
        if before and before != request["image"]:
            self.docker.ask("image", "rm", before)

    def _wait(self, request: State) -> None:
        """Until it answers; sooner when it keeps falling over."""
        project, url = request["id"], request["spec"]["answers"]
        end = time.monotonic() + request["within_s"]
        while time.monotonic() < end:
            if answers(url, 2):
                return
            restarts = self.docker.restarts_of(project)
            if restarts >= 3:
                why = f"it fell over {restarts} times: {self.docker.log_tail(project)}"
                raise Refused(f"start {project}", why, "correct what changed")
            time.sleep(0.5)
        why = f"it does not answer at {url} within {request['within_s']} s: {self.docker.log_tail(project)}"
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
        for each in self.docker.containers(project):
            self.docker.do("rm", "--force", each["ID"])
        for network in (
            self.docker.ask("network", "ls", "--quiet", "--filter", f"label={PROJECT}={project}") or ""
        ).split():
            self.docker.ask("network", "rm", network)
        image = self.home.entry("compose", project).get("image")
        if image:
            self.docker.ask("image", "rm", image)  # stays when somebody else's container uses it
        self.home.forget("compose", project)
        return {"compose": {project: None}}


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
