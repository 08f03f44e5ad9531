"""Virtual environments: made by uv from a hash-locked list, whole or not at all, one directory a lock."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import time
from typing import Callable, Iterator, Optional

from ..errors import Refused, why_of
from ..kind import OneByOne
from ..patience import discard
from ..programs import NO_WINDOW
from ..system import Progress, State
from .files import sha256_of
from .versions import clear, keep_two, names, remove_all, take_name

MARK = ".venv.json"
CACHE = "uv"  # in our home: what was fetched already, so that a try that was cut goes on
LOG = ("jobs", "uv.log")
WATCH_S = 0.3
HOST = re.compile(r"https://([\w.-]+(?::\d+)?)/")
DISTRUST = "certificate"  # uv's own English, whatever the system's language
# Wishes of other people's for uv, pip or Python must not reach into what the lock says.
FOREIGN = ("UV_", "PIP_", "PYTHON", "VIRTUAL_ENV", "CONDA")
OURS = {
    "UV_NO_CONFIG": "1",
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_LINK_MODE": "copy",  # a link into the cache would keep the cache's access
    "UV_NATIVE_TLS": "true",  # this machine's own certificate authorities
    "UV_NO_PROGRESS": "1",
}


class Venvs(OneByOne):
    """Kind `venv`. Identity: the directory that holds one virtual environment a lock.

    State: {"made": {name: {"lock", "python", "intact"}}} or None. `intact`: its Python is the one that it was made
    with, and no installed file has another size, time or mode than it was installed with. Python's own bytecode is
    left out: Python checks that itself, against the files that count.
    """

    def state(self, directory: str) -> Optional[State]:
        if not os.path.isdir(directory):
            return None
        made = {}
        for name in sorted(os.listdir(directory)):
            mark = _mark(os.path.join(directory, name))
            if mark:
                intact = _seen(os.path.join(directory, name), mark["program"]) == mark["seen"]
                made[name] = {"lock": mark["lock"], "python": mark["python"], "intact": intact}
        return {"made": made}

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, name, lock (path), sha256 (of the lock), python, uv, program (Python inside), index, room_gb.

        What a try that was cut has fetched is there for the next. Keeps one older environment.
        """
        directory, name = request["id"], request["name"]
        self.home.remember("venv", directory)
        if sha256_of(request["lock"]) != request["sha256"]:
            raise Refused(f"make {directory}", f"{request['lock']} is not what it was just now", "converge again")
        aside = os.path.join(directory, f".{name}.new")
        try:
            os.makedirs(directory, mode=0o755, exist_ok=True)
            clear(aside)
            self._room(request)
            self._fill(aside, request, progress)
            self._write_mark(aside, request)
            take_name(self.system, aside, os.path.join(directory, name))
        except OSError as error:
            raise Refused(f"make {directory}", why_of(error), "see who has it open, then converge again") from error
        finally:
            clear(aside)  # half of an environment only fills the disk
        clear(self.home.path(CACHE))
        keep_two(directory, name, MARK, _mark)
        self.home.unread(directory)
        return {"venv": {directory: self.state(directory)}}

    @staticmethod
    def _room(request: State) -> None:
        free_gb = shutil.disk_usage(request["id"]).free / 1e9
        if free_gb < request["room_gb"]:
            raise Refused(
                f"make {request['id']}",
                f"it wants about {request['room_gb']:.1f} GB and {free_gb:.1f} GB are free",
                "free some disk space and converge again",
            )

    def _fill(self, aside: str, request: State, progress: Progress) -> None:
        program = os.path.join(aside, request["program"])
        progress({"what": "making the environment"})
        self._uv(request, ["venv", "--quiet", "--no-project", "--relocatable", "--python", request["python"], aside])
        with open(request["lock"], encoding="utf-8") as file:
            wanted = len(re.findall(r"^[\w.-]+==", file.read(), re.M))
        options = ["--require-hashes", "--only-binary", ":all:", "--compile-bytecode"]
        options += ["--default-index", request["index"]] if request.get("index") else []
        sync = ["pip", "sync", *options, "--python", program, request["lock"]]
        self._sync(request, sync, lambda: progress({"what": f"fetched {self._fetched()} of at most {wanted} packages"}))
        discard(os.path.join(aside, ".lock"))  # uv leaves it open for everybody

    def _fetched(self) -> int:
        """How many packages lie unpacked in uv's cache."""
        folders = [each for each in names(self.home.path(CACHE)) if each.startswith("archive-")]
        return sum(len(names(self.home.path(CACHE, each))) for each in folders)

    def _sync(self, request: State, arguments: list[str], tell: Callable[[], None]) -> None:
        """Again where it missed a root certificate that the system can learn: the index may have it of another host."""
        met: set[str] = set()
        while True:
            try:
                return self._uv(request, arguments, tell)
            except Refused as refused:
                hosts = set(HOST.findall(_said(self.home.path(*LOG)))) - met if DISTRUST in refused.why else set()
                if not [each for each in sorted(hosts) if self.system.learn_root(f"https://{each}/")]:
                    raise
                met |= hosts

    def _uv(self, request: State, arguments: list[str], tell: Optional[Callable[[], None]] = None) -> None:
        """Run uv to its end, cut off from everybody's settings but ours."""
        cache, log = self.home.folder(CACHE), self.home.path(*LOG)
        self.home.folder("jobs")
        theirs = {name: value for name, value in os.environ.items() if not name.upper().startswith(FOREIGN)}
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            try:
                process = subprocess.Popen(
                    [request["uv"], *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    env={**theirs, **OURS, "UV_CACHE_DIR": cache, "HOME": cache},
                    cwd=cache,
                    creationflags=NO_WINDOW,
                )
            except OSError as error:
                raise Refused(f"run {request['uv']}", why_of(error), "converge again") from error
            with process:
                while process.poll() is None:
                    if tell:
                        tell()
                    time.sleep(WATCH_S)
        if process.returncode:
            fix = "see what it says; what was fetched is kept, and nothing was switched"
            raise Refused(f"make {request['id']}", f"uv says: {_last_words(log)}", fix)

    @staticmethod
    def _write_mark(aside: str, request: State) -> None:
        mark = {each: request[each] for each in ("program", "python")}
        mark.update(lock=request["sha256"], seen=_seen(aside, request["program"]))
        with open(os.path.join(aside, MARK), "w", encoding="utf-8") as file:
            json.dump(mark, file)
            file.flush()
            os.fsync(file.fileno())

    def remove(self, request: State, progress: Progress) -> State:
        """All or nothing of each: one that something runs from stays whole, and that is said."""
        directory = request["id"]
        remove_all(directory, _mark)
        clear(self.home.path(CACHE))
        self.home.forget("venv", directory)
        return {"venv": {directory: None}}


def _mark(directory: str) -> Optional[State]:
    try:
        with open(os.path.join(directory, MARK), encoding="utf-8") as file:
            mark: State = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return mark if isinstance(mark, dict) and {"program", "python", "lock", "seen"} <= set(mark) else None


def _seen(directory: str, program: str) -> str:
    """A hash over what was installed, by size, time and mode, and over which Python runs it. "" without one."""
    runs = os.path.realpath(os.path.join(directory, program))
    if not os.path.isfile(runs):
        return ""
    inside = runs.startswith(os.path.realpath(directory) + os.sep)
    digest = hashlib.sha256(b"" if inside else runs.encode())
    try:
        lines = sorted(_entries(directory, ""))
    except FileNotFoundError:  # somebody takes it away just now
        return ""
    for line in lines:
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _entries(folder: str, prefix: str) -> Iterator[str]:
    """One line for each file and link below: everything of it that a look may cost."""
    with os.scandir(folder) as entries:
        for each in entries:
            name = f"{prefix}/{each.name}"
            if each.is_dir(follow_symlinks=False):
                if each.name != "__pycache__":
                    yield from _entries(each.path, name)
            elif name != f"/{MARK}":
                found = each.stat(follow_symlinks=False)
                yield f"{name}\0{found.st_size}\0{int(found.st_mtime)}\0{stat.S_IMODE(found.st_mode)}\n"


def _said(log: str) -> str:
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read()


def _last_words(log: str) -> str:
    """What uv said, as a reason: its causes are lines of their own."""
    lines = [re.sub(r"^\W+", "", line).strip() for line in _said(log).splitlines()]  # before them a tree is drawn
    return " ".join(line for line in lines if line)[-500:] or "nothing"
