"""The Windows half of the agent: access by lists of SIDs, processes by creation time, services by boot tasks."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from typing import Optional, Sequence

from ..errors import Refused, why_of
from ..fresh import write_new
from ..patience import discard
from ..system import State
from . import accounts, acl, nests, ntfs, ownership, particulars, schedule, sddl, sockets, win32
from .bootservices import BootServices

START_S = 30.0
LEARN_S = 30
STOP_S = 30.0
DOCKER_START_S = 180.0
DOCKER_FIXES = {
    "missing": "name Docker Desktop in this machine's data, and converge again: it is installed",
    "stopped": "log on there, as the user of Docker Desktop: it starts with that (docs/docker-on-windows.md)",
}
SYSTEM_PROCESS = 4
WATCHER = schedule.FOLDER + "undo"


class Windows:
    """See `system.System`."""

    def __init__(self, home: Optional[str] = None) -> None:
        # A program is looked for in PATH alone: the present folder is the user's own, and we have more rights.
        os.environ["NODEFAULTCURRENTDIRECTORYINEXEPATH"] = "1"
        self.agent = os.path.abspath(sys.argv[0])
        self.home = home or os.path.dirname(self.agent)
        self.boot = BootServices(self.agent, self.home)

    def describe(self) -> State:
        version = sys.getwindowsversion()  # type: ignore[attr-defined]  # `platform` asks WMI, which may refuse
        machine = os.environ.get("PROCESSOR_ARCHITECTURE", "")
        return {
            "os": "windows",
            "release": f"{version.major}.{version.minor}.{version.build}",
            "architecture": {"AMD64": "x86_64", "ARM64": "aarch64"}.get(machine.upper(), machine),
            "hostname": socket.gethostname(),
        }

    def particulars(self) -> State:
        return particulars.look()

    # -- files
    def access_of(self, path: str) -> str:
        text = ntfs.access(path)
        try:
            return acl.words(sddl.parse(text), os.path.isdir(path), win32.name_of)
        except ValueError:
            return text

    def grant(self, path: str, access: str) -> None:
        acl.spelling(access, accounts.sid_of, win32.name_of)
        wanted = acl.wanted(access, os.path.isdir(path), accounts.sid_of)
        if wanted is None:
            try:
                wanted = sddl.parse(access)
            except ValueError:
                raise Refused(f"set the access of {path}", f"{access!r} says none", "correct it in the role") from None
            wanted = wanted if wanted.protected else sddl.without_inherited(wanted)
        ntfs.secure(path, wanted)

    def look_over(self, path: str, account: str, top: bool, mend: bool) -> State:
        return ownership.look_over(path, account, top, mend)

    def account_of(self, spec: State) -> Optional[str]:
        return self.boot.account_of(spec)

    def replace(self, temporary: str, path: str) -> None:
        ntfs.replace(temporary, path)

    def born_private(self, directory: str, prefix: str) -> tuple[int, str]:
        return nests.born(directory, prefix)

    def clear_private(self, path: str) -> None:
        nests.clear(path)

    def make_private(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)
        self.grant(path, "administrators")

    # -- processes
    def detach(self, arguments: Sequence[str], log: str) -> int:
        """As SYSTEM by the Task Scheduler: whatever an SSH session starts dies with it. The task goes at once."""
        self.make_private(os.path.join(self.home, "held"))
        mark = os.urandom(8).hex()
        job, task = f"llm-harness-{mark}", f"{schedule.FOLDER}run-{mark}"
        path = os.path.join(self.home, "held", mark)
        order = {"job": job, "command": list(arguments), "environment": {}, "log": log, "again": False}
        content = json.dumps({**order, "began": path + ".began"}).encode()
        ntfs.replace(write_new(os.path.dirname(path), content), path)
        holding = [*schedule.interpreter(self.agent), "hold", path]
        schedule.register(task, {"account": "system", "actions": [holding], "limit_s": 0}, self.home)
        try:
            schedule.run(task)
            end = time.monotonic() + START_S
            while not os.path.exists(path + ".began"):
                if time.monotonic() > end:
                    raise schedule.not_run(f"start {os.path.basename(arguments[0])}", task)
                time.sleep(0.05)
        finally:
            schedule.delete(task)
            for each in (path, path + ".began"):
                discard(each)
        return min(win32.job_processes(job), key=win32.created, default=0)

    def started(self, pid: int) -> str:
        return str(win32.created(pid) or "")

    def is_alive(self, pid: int, started: str) -> bool:
        return bool(started) and self.started(pid) == started

    def stop(self, pid: int) -> None:
        """It and all that it started, oldest first, until none is left. A number used again is not taken for it."""
        doomed, end = {pid: win32.created(pid)}, time.monotonic() + STOP_S
        while True:
            alive = {each: began for each in doomed if (began := win32.created(each)) and began == doomed[each]}
            found = {
                each: win32.created(each)
                for each, (parent, _) in win32.processes().items()
                if parent in doomed and each not in doomed and win32.created(each) >= doomed[parent] > 0
            }
            if not alive and not found:
                return
            doomed.update(found)
            refusals = [why for why in map(_end, alive) if why]
            if time.monotonic() > end:
                names = ", ".join(map(str, sorted({*alive, *found})))
                why = f"Windows says: {refusals[0]}" if refusals else f"it still runs after {STOP_S:g} s"
                raise Refused(f"end process {names}", why, "end it by hand there, or restart that machine")
            time.sleep(0.02)

    # -- who is where
    def listeners(self) -> list[State]:
        return sockets.listeners()

    def runs(self, service: str, process: int) -> bool:
        return process in win32.job_processes(self.boot.job(service))

    # -- the internet
    def learn_root(self, url: str) -> bool:
        """Windows' own curl asks Schannel, which fetches a missing one; what it says of the page does not matter."""
        with contextlib.suppress(OSError):
            win32.run("curl.exe", ["-sSIL", "--max-time", str(LEARN_S), url], timeout_s=LEARN_S + 10)
            return True
        return False

    # -- containers
    def docker(self) -> State:
        """Docker Desktop's own place; its engine by name, as contexts belong to the user who started it; a
        configuration without `credsStore`: that asks the credentials of a logon session, and SSH's has none.

        It looks for Compose in PROGRAMDATA before PROGRAMFILES, where every user may put one that SYSTEM then runs.
        """
        programs = os.environ.get("PROGRAMFILES", r"C:\Program Files")
        environment = {
            "DOCKER_HOST": "npipe:////./pipe/dockerDesktopLinuxEngine",
            "DOCKER_CONFIG": os.path.join(self.home, "docker"),
            "PROGRAMDATA": self.home,
        }
        place = rf"{programs}\Docker\Docker\resources\bin"
        return {"folders": [place], "environment": environment, "patience_s": DOCKER_START_S, "fixes": DOCKER_FIXES}

    def this_boot(self) -> str:
        return self.started(SYSTEM_PROCESS)

    def watch(self, command: Sequence[str]) -> None:
        """A task, by itself again every minute: the Task Scheduler starts no second one while the first runs."""
        self.unwatch()
        triggers = [{"at": "boot"}, {"at": "every", "every_s": 60, "start": "2026-01-01T00:00:00"}]
        spec = {"account": "system", "triggers": triggers, "actions": [list(command)], "limit_s": 0}
        schedule.register(WATCHER, spec, self.home)
        schedule.run(WATCHER)

    def unwatch(self) -> None:
        schedule.delete(WATCHER)

    # -- services
    def services(self, wanted: Sequence[State]) -> dict[str, Optional[State]]:
        return {each["name"]: self.boot.look(each["name"], each.get("command") is not None) for each in wanted}

    def define_service(self, spec: State) -> None:
        self.boot.define(spec)

    def start_service(self, name: str) -> None:
        self.boot.start(name)

    def reload_service(self, name: str) -> None:
        self.boot.start(name)  # Windows has no word for it; an SSH session in use outlives its listener

    def remove_service(self, name: str) -> None:
        self.boot.remove(name)

    def restarts_of(self, name: str) -> int:
        return self.boot.restarts_of(name)

    def log_tail(self, name: str, lines: int) -> str:
        return self.boot.log_tail(name, lines)


def _end(pid: int) -> str:
    """Why not, as Windows puts it; "" when it does. It says the same of one that is ending already."""
    try:
        win32.terminate(pid)
    except OSError as error:
        return why_of(error)
    return ""
