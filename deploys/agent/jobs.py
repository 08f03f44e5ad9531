"""Long work: a detached copy of the agent makes the change, so that a cut link or a sleeping desk ends nothing.

A job's document `jobs/<id>.json` says how far it is; a later run finds the job again by the resource it is for.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from typing import Callable

from .errors import Refused, why_of
from .home import Home
from .lastwords import LastWords
from .patience import clear_away, discard
from .system import Progress, State, System

WRITE_EVERY_S = 0.5
START_S = 30
UNCUT_S = 45  # less than the desk waits for an answer
UNFINISHED = ("starting", "running")


class Superseded(Exception):
    """A newer request has taken this job's place. No failure of the work: nothing is put back for it."""


class Jobs:
    """Starts, finds, watches and runs jobs. One job per resource at a time."""

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home
        self.home.folder("jobs")

    @staticmethod
    def id_of(request: State) -> str:
        return hashlib.sha256(f"{request['kind']}\0{request['id']}".encode()).hexdigest()[:16]

    def start(self, request: State) -> str:
        """Start the job, or find it running already for the same request. Gives its id."""
        job = self.id_of(request)
        wanted = hashlib.sha256(json.dumps(_lasting(request), sort_keys=True).encode()).hexdigest()
        present = self.home.read(f"jobs/{job}.json")
        if present and self._alive(job, present):
            if present["wanted"] == wanted:
                discard(self._cut_mark(job))
                return job
            self._cut(job)
        discard(self._cut_mark(job))
        LastWords(self.home, job).keep_room()
        starting = {"state": "starting", "wanted": wanted, "progress": {}, "until": time.time() + START_S}
        try:
            self.home.write(f"jobs/{job}.request.json", request)
            self.home.write(f"jobs/{job}.json", starting)  # from here on only the job itself writes it
            self.system.detach([*interpreter(), "run", job], self.home.path("jobs", f"{job}.log"))
        except (OSError, Refused):  # nobody shall wait for it, and the request may hold a secret
            clear_away(self.home.path("jobs", f"{job}.json"))
            clear_away(self.home.path("jobs", f"{job}.request.json"))
            raise
        return job

    def _cut(self, job: str) -> None:
        """End the job that runs for another request: every change is safe to cut, it is old or new, never half.

        A step that says `uncut` is let finish. The mark comes before the look here, and the look for the mark after
        the word there: one of the two always sees the other.
        """
        self.home.write(f"jobs/{job}.cut", {})
        end = time.monotonic() + UNCUT_S
        while True:
            document = self.home.read(f"jobs/{job}.json")
            if not (document and self._alive(job, document)):
                return
            if document["state"] == "running" and not document["progress"].get("uncut"):
                self.system.stop(document["pid"])
                return
            if time.monotonic() > end:
                why = "another converge is in the middle of it and must not be cut there"
                raise Refused("change it once more", why, "converge again in a minute")
            time.sleep(0.1)

    def _cut_mark(self, job: str) -> str:
        return self.home.path("jobs", f"{job}.cut")

    def _alive(self, job: str, document: State) -> bool:
        if document["state"] == "starting":
            return bool(time.time() < document["until"]) and LastWords(self.home, job).heard() is None
        running: bool = document["state"] == "running"
        return running and self.system.is_alive(document["pid"], document["started"])

    def wait(self, job: str, wait_s: float) -> State:
        """{"job", "state": "running"|"done", "progress", "answer"}; a failed job raises what it failed with."""
        end = time.monotonic() + wait_s
        while True:
            document = self.home.read(f"jobs/{job}.json")
            if document is None:
                raise Refused("watch a job", "this machine knows none of that id", "converge again")
            if document["state"] == "failed":
                raise Refused(**document["error"])
            if document["state"] in UNFINISHED and not self._alive(job, document):
                document = self.home.read(f"jobs/{job}.json")  # it may have ended between the two looks
                if document["state"] in UNFINISHED:
                    raise LastWords(self.home, job).heard() or Refused(
                        "finish a job",
                        "it was killed or the machine restarted",
                        "converge again: it goes on where it was",
                    )
            if document["state"] == "done" or time.monotonic() >= end:
                return {
                    "job": job,
                    "state": document["state"],
                    "progress": document["progress"],
                    "answer": document.get("answer"),
                }
            time.sleep(0.1)

    def run(self, job: str, work: Callable[[State, Progress], State]) -> None:
        """The detached side: do the work and write down how it went; where there is no room for that, say so."""
        words = LastWords(self.home, job)
        document: State = {"state": "running", "progress": {}}
        try:
            self._work(job, work, document)
            self.home.write(f"jobs/{job}.json", document)
            words.give_back()
        except Refused as no_room:
            words.say(Refused(**document["error"]) if document["state"] == "failed" else no_room)

    def _work(self, job: str, work: Callable[[State, Progress], State], document: State) -> None:
        """Have in `document` how the work ended, and in the job's file how far it is. Raises Refused without room."""
        request = self.home.read(f"jobs/{job}.request.json")
        discard(self.home.path("jobs", f"{job}.request.json"))  # it may hold a secret: killed later, none stays
        document["wanted"] = self.home.read(f"jobs/{job}.json")["wanted"]
        document.update(pid=os.getpid(), started=self.system.started(os.getpid()))
        self.home.write(f"jobs/{job}.json", document)
        written = [0.0]

        def progress(state: State) -> None:
            turns = bool(state.get("uncut")) != bool(document["progress"].get("uncut"))
            document["progress"] = state
            if turns or time.monotonic() - written[0] > WRITE_EVERY_S:
                written[0] = time.monotonic()
                try:
                    self.home.write(f"jobs/{job}.json", document)
                except Refused:  # how far it is may stay untold; that it must not be cut may not
                    if turns and state.get("uncut"):
                        raise
            if turns and os.path.exists(self._cut_mark(job)):
                document["progress"] = {}
                raise Superseded

        try:
            document.update(answer=work(request, progress), state="done")
        except Refused as refused:
            document.update(error=refused.to_json(), state="failed")
        except Superseded:
            why = Refused("go on", "a newer converge wants something else", "see what that one says")
            document.update(error=why.to_json(), state="failed")
        except Exception as error:
            what = f"work on {request['kind']} {request['id']}"
            document.update(
                error=Refused(
                    what, f"{type(error).__name__}: {why_of(error)}", "converge again; if it stays, report it"
                ).to_json(),
                state="failed",
            )


def _lasting(request: State) -> State:
    """What makes two requests the same work: not who asks or how long they wait."""
    return {key: value for key, value in request.items() if key not in ("run", "wait_s")}


def interpreter() -> list[str]:
    """The command line that starts this very agent again."""
    return [sys.executable, "-I", "-X", "utf8", os.path.abspath(sys.argv[0])]
