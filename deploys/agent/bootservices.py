"""Services of ours on Windows: boot tasks that run `holder.py`, which runs the program.

Tasks, not Windows services: Ollama and LiteLLM are ordinary programs that do not speak to the service manager, and a
wrapper that does would be one more program to trust. `system` is SYSTEM; `own` is LOCAL SERVICE, which has no password
and no rights to speak of.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from typing import Optional

from . import acl, holder, native, ntfs, schedule, sddl, win32
from .errors import Refused
from .fresh import write_new
from .system import State

START_S = 30.0
LOCAL_SERVICE = "S-1-5-19"
ACCOUNTS = {"system": "system", "own": "local service"}
PAUSE_S = 2
NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


class BootServices:
    """Looks at, defines, starts and removes them. Names that it does not know are Windows' own services."""

    def __init__(self, agent: str, home: str) -> None:
        self.agent = agent
        self.home = home

    def look(self, name: str, ours: bool) -> Optional[State]:
        if not ours:
            found = native.look(name)
            return found and {
                "running": found["running"],
                "enabled": found["start"] in ("boot", "auto", "delayed"),
                "process": str(found["process"]),
            }
        record = self._record(name)
        task = schedule.definition(_task(name))
        if record is None and task is None:
            return None
        spec = record and record["spec"]
        running = win32.job_processes(_job(name))
        return {
            "spec": spec and {key: value for key, value in spec.items() if key != "name"},
            "intact": spec is not None and task == schedule.wanted(self._boot_task(spec)) and self._whole(record, spec),
            "running": len(running) > 1,  # the holder and what it holds
            "enabled": task is not None and task["settings"]["Enabled"] == "true",
            "process": ",".join(map(str, sorted(running))),
        }

    def _folder(self, name: str, *parts: str) -> str:
        return os.path.join(self.home, "services", name, *parts)

    def _record(self, name: str) -> Optional[State]:
        try:
            with open(self._folder(name, "service.json"), encoding="utf-8") as file:
                record: State = json.load(file)
        except (FileNotFoundError, ValueError):
            return None
        return record if isinstance(record, dict) and "spec" in record else None

    def _boot_task(self, spec: State) -> State:
        folder = self._folder(spec["name"])
        holding = [*schedule.interpreter(os.path.join(folder, "holder.pyz")), "hold", os.path.join(folder, "hold.json")]
        return {
            "description": spec["description"],
            "account": ACCOUNTS[spec["account"]],
            "triggers": [{"at": "boot"}],
            "actions": [holding],
            "limit_s": 0,
        }

    def _order(self, spec: State) -> bytes:
        """What the holder reads."""
        order = {"job": _job(spec["name"]), "command": spec["command"], "environment": spec["environment"]}
        log = self._folder(spec["name"], "log", spec["name"] + ".log")
        return json.dumps({**order, "log": log, "again": True, "pause_s": PAUSE_S}).encode()

    def _whole(self, record: Optional[State], spec: State) -> bool:
        """Whether the holder and its order are as we wrote them, and nobody else may write them."""
        folder = self._folder(spec["name"])
        try:
            secure = sddl.parse(win32.security(folder)) == _readable(spec, sddl.READ_AND_RUN)
            with (
                open(os.path.join(folder, "hold.json"), "rb") as order,
                open(os.path.join(folder, "holder.pyz"), "rb") as program,
            ):
                same = hashlib.sha256(program.read()).hexdigest() == (record or {}).get("holder")
                return secure and same and order.read() == self._order(spec)
        except (OSError, ValueError):
            return False

    def define(self, spec: State) -> None:
        name = spec["name"]
        if not NAME.fullmatch(name):
            raise Refused(f"define service {name}", "its name has other signs than letters, digits and . _ -", "rename")
        folder = self._folder(name)
        for path, rights in ((folder, sddl.READ_AND_RUN), (os.path.join(folder, "log"), sddl.MODIFY)):
            os.makedirs(path, exist_ok=True)
            ntfs.secure(path, _readable(spec, rights))
        if spec.get("state"):
            os.makedirs(spec["state"], exist_ok=True)
            ntfs.secure(spec["state"], _readable(spec, sddl.MODIFY))
        if spec["account"] == "own":
            self._open_python(spec)
        with open(self.agent, "rb") as file:
            program = file.read()
        record = {"spec": spec, "holder": hashlib.sha256(program).hexdigest()}
        if record["holder"] != (self._record(name) or {}).get("holder"):
            self._end(name)  # what runs may have the old holder open
        for file_name, content in (
            ("holder.pyz", program),
            ("hold.json", self._order(spec)),
            ("service.json", json.dumps(record).encode()),
        ):
            ntfs.replace(write_new(folder, content), os.path.join(folder, file_name))
        schedule.register(_task(name), self._boot_task(spec), self.home)

    def _open_python(self, spec: State) -> None:
        """LOCAL SERVICE runs our own Python, which otherwise only administrators may."""
        place = os.path.dirname(sys.executable)
        wanted = _readable(spec, sddl.READ_AND_RUN)
        if place.lower().startswith(self.home.lower() + "\\") and sddl.parse(win32.security(place)) != wanted:
            ntfs.secure(place, wanted)

    def start(self, name: str) -> None:
        if self._record(name) is None:
            native.restart(name, self.home)
            return
        self._end(name)
        end = time.monotonic() + START_S
        while True:  # while the scheduler still thinks that the old one runs, it starts nothing, and says yes
            schedule.run(_task(name))
            for _ in range(20):
                if win32.job_processes(_job(name)):
                    return
                time.sleep(0.05)
            if time.monotonic() > end:
                raise schedule.not_run(f"start {name}", _task(name))

    def _end(self, name: str) -> None:
        win32.end_job(_job(name))
        end = time.monotonic() + START_S
        while win32.job_processes(_job(name)):
            if time.monotonic() > end:
                raise Refused(f"stop {name}", "its processes do not end", "restart that machine")
            time.sleep(0.05)

    def remove(self, name: str) -> None:
        schedule.delete(_task(name))
        self._end(name)
        if os.path.isdir(self._folder(name)):
            ntfs.patiently(lambda: shutil.rmtree(self._folder(name)))

    def log_tail(self, name: str, lines: int) -> str:
        return holder.tail(self._folder(name, "log", name + ".log"), lines)


def _readable(spec: State, rights: int) -> sddl.Descriptor:
    """A directory of a service: administrators, and its account with these rights."""
    masks = {acl.SYSTEM: sddl.FULL, acl.ADMINISTRATORS: sddl.FULL}
    if spec["account"] == "own":
        masks[LOCAL_SERVICE] = rights
    return acl.descriptor(masks, directory=True)


def _task(name: str) -> str:
    return schedule.FOLDER + name


def _job(name: str) -> str:
    return f"llm-harness-service-{name}"
