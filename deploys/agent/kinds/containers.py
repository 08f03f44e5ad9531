"""Containers run by Docker Compose: started with proven files, asked for health and an answer, put back when sick."""

from __future__ import annotations

import os
import time
from typing import Optional, Sequence

from ..errors import Refused
from ..home import Home
from ..system import Progress, State, System
from .asking import ask_token
from .dockers import PROJECT, Docker
from .files import Files
from .services import answers

NOTHING: State = {"image": None, "running": False, "answers": False, "untouched": False, "inputs": {}}


class Compose:
    """Kind `compose`. Identity: the project's name. Spec: {"answers": URL}.

    State: {"image", "running", "answers", "untouched", "inputs"} or None. `untouched`: the container is the one that
    the last converge made. `inputs`: hashes of the files that it was started with. While the engine is away, which on
    some machines comes only with a logon, nothing runs and `trouble` says why.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home
        self.docker = Docker(system)

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        return {project: self.state(project, spec) for project, spec in asked.items()}

    def state(self, project: str, spec: State) -> Optional[State]:
        entry = self.home.entry("compose", project)
        try:
            found = self.docker.containers(project) if self.docker.found() else []
        except Refused as refused:
            return {**NOTHING, "trouble": f"Docker does not answer: {refused.why}"} if entry else None
        if not found:
            return None
        container = found[0]
        running = container["State"] == "running"
        return {
            "image": container["Image"],
            "running": running,
            "answers": running and answers(spec["answers"], 2),
            "untouched": len(found) == 1 and container["ID"] == entry.get("container"),
            "inputs": entry.get("inputs", {}),
        }

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, spec, file, image, inputs {path: sha256}, within_s, ask (see `ask_token`) or None."""
        project = request["id"]
        self.home.remember("compose", project, spec=request["spec"])
        files = Files(self.system, self.home)
        try:
            self.docker.wait(progress)
            self.docker.fetch_image(request["image"], progress)
        except Refused:
            files.put_back_unproven(request["inputs"])  # what runs now stays, and so do its files
            raise
        try:
            self._up(request, progress)
        except Refused as refused:
            back = files.put_back_unproven(request["inputs"])
            if not back:
                raise
            raise self._after_put_back(request, refused, back, progress) from refused
        self.home.prove(request["inputs"])
        self._record(request)
        return {"compose": {project: self.state(project, request["spec"])}}

    def _up(self, request: State, progress: Progress) -> None:
        self._replace(request, progress)
        progress({"what": "waiting until it answers"})
        self._wait(request)
        if request.get("ask"):
            progress({"what": "asking for a token"})
            ask_token(request["ask"], request["id"])

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

    def remove(self, request: State, progress: Progress) -> State:
        if self.docker.found():
            self._take_away(request["id"])
        self.home.forget("compose", request["id"])
        return {"compose": {request["id"]: None}}

    def _take_away(self, project: str) -> None:
        for each in self.docker.containers(project):
            self.docker.do("rm", "--force", each["ID"])
        networks = self.docker.ask("network", "ls", "--quiet", "--filter", f"label={PROJECT}={project}") or ""
        for network in networks.split():
            self.docker.ask("network", "rm", network)
        image = self.home.entry("compose", project).get("image")
        if image:
            self.docker.ask("image", "rm", image)  # stays when somebody else's container uses it
