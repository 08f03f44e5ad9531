"""Services and tasks of ours on Windows: scheduled tasks that run `holder.py`, which runs the program.

Tasks, not Windows services: Ollama and LiteLLM are ordinary programs that do not speak to the service manager, and a
wrapper that does would be one more program to trust. `system` is SYSTEM; `own` is LOCAL SERVICE, which has no password
and no rights to speak of. One that has secrets is NETWORK SERVICE, its like: those without shall not read them.
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

from ..errors import Refused
from ..fresh import write_new
from ..patience import patiently
from ..system import State
from . import acl, holder, native, ntfs, schedule, sddl, win32

START_S = 30.0
LOCAL_SERVICE = "S-1-5-19"
ACCOUNTS = {"system": ("system", ""), "own": ("local service", LOCAL_SERVICE)}  # name for a task, SID to let in
WITH_SECRETS = ("network service", "S-1-5-20")
PAUSE_S = 2
NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


class BootServices:
    """Looks at, defines, starts and removes them. Names that it does not know are Windows' own services."""

    place = "services"
    again = True  # started again when it ends

    def __init__(self, agent: str, home: str) -> None:
        self.agent = agent
        self.home = home

    def task(self, name: str) -> str:
        return schedule.FOLDER + name

    def job(self, name: str) -> str:
        return f"llm-harness-{self.place}-{name}"

    def look(self, name: str, ours: bool) -> Optional[State]:
        if not ours:
            found = native.look(name)
            return found and {
                "running": found["running"],
                "enabled": found["start"] in ("boot", "auto", "delayed"),
                "process": str(found["process"]),
            }
        record = self._record(name)
        task = schedule.definition(self.task(name))
        if record is None and task is None:
            return None
        spec = record and record["spec"]
        running = win32.job_processes(self.job(name))
        return {
            "spec": spec and {key: value for key, value in spec.items() if key != "name"},
            "intact": spec is not None and task == schedule.wanted(self._boot_task(spec)) and self._whole(record, spec),
            "running": len(running) > 1,  # the holder and what it holds
            "enabled": task is not None and task["settings"]["Enabled"] == "true",
            "process": ",".join(map(str, sorted(running))),
        }

    def _folder(self, name: str, *parts: str) -> str:
        return os.path.join(self.home, self.place, name, *parts)

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
            "account": self._account(spec)[0],
            "triggers": [{"at": "boot"}],
            "actions": [holding],
            "limit_s": 0,
        }

    @staticmethod
    def _account(spec: State) -> tuple[str, str]:
        """As in ACCOUNTS."""
        return WITH_SECRETS if spec["account"] == "own" and spec.get("secrets") else ACCOUNTS[spec["account"]]

    def account_of(self, spec: State) -> str:
        """The SID of the account that a service writes its state as."""
        return self._account(spec)[1]

    def _who(self, spec: State) -> str:
        """The SID that must be let in besides administrators and SYSTEM; "" for none."""
        return self._account(spec)[1]

    def _order(self, spec: State) -> bytes:
        """What the holder reads."""
        order = {
            "job": self.job(spec["name"]),
            "command": spec["command"],
            "environment": {**_at_home(spec["environment"]), **self._secrets(spec)},
        }
        log = self._folder(spec["name"], "log", spec["name"] + ".log")
        return json.dumps(
            {**order, "log": log, "again": self.again, "pause_s": PAUSE_S, "began": self._began(spec["name"])}
        ).encode()

    def _secrets(self, spec: State) -> dict[str, str]:
        """Where it finds its secrets, if it has some: the file itself stays closed to its account."""
        return {"SECRETS_FILE": self._folder(spec["name"], "secrets")} if spec.get("secrets") else {}

    def _hand_over(self, spec: State) -> None:
        """Copy its secrets to where only administrators and its account read. They are as old as its start."""
        if spec.get("secrets"):
            with open(spec["secrets"], "rb") as file:
                content = file.read()
            folder = self._folder(spec["name"])
            ntfs.replace(write_new(folder, content), os.path.join(folder, "secrets"))

    def _began(self, name: str) -> str:
        """Where its holder says that it began: its account may write there, and nobody believes more of it."""
        return self._folder(name, "log", "began")

    def _whole(self, record: Optional[State], spec: State) -> bool:
        """Whether the holder and its order are as we wrote them, and nobody else may write them."""
        folder = self._folder(spec["name"])
        try:
            secure = sddl.parse(ntfs.access(folder)) == self._readable(spec, sddl.READ_AND_RUN)
            if spec.get("secrets"):
                with open(spec["secrets"], "rb") as given, open(os.path.join(folder, "secrets"), "rb") as had:
                    secure = secure and given.read() == had.read()
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
            ntfs.secure(path, self._readable(spec, rights))
        if spec.get("state"):
            if not os.path.isdir(spec["state"]):
                os.makedirs(os.path.dirname(spec["state"]), exist_ok=True)
                os.mkdir(spec["state"], 0o700)  # nobody puts anything there before it is closed to them
            ntfs.secure(spec["state"], self._readable(spec, sddl.MODIFY))
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
        schedule.register(self.task(name), self._boot_task(spec), self.home)

    def _open_python(self, spec: State) -> None:
        """Its account runs our own Python, which otherwise only administrators may. Who may already, still may."""
        place, who = os.path.dirname(sys.executable), self._who(spec)
        if not who or not place.lower().startswith(self.home.lower() + "\\"):
            return
        wanted = {ace.sid: ace.mask for ace in sddl.parse(ntfs.access(place)).aces if ace.mask == sddl.READ_AND_RUN}
        if who not in wanted:
            wanted.update({acl.SYSTEM: sddl.FULL, acl.ADMINISTRATORS: sddl.FULL, who: sddl.READ_AND_RUN})
            ntfs.secure(place, acl.descriptor(wanted, directory=True))

    def _readable(self, spec: State, rights: int) -> sddl.Descriptor:
        """A directory of ours: administrators, and its account with these rights."""
        masks = {acl.SYSTEM: sddl.FULL, acl.ADMINISTRATORS: sddl.FULL}
        if self._who(spec):
            masks[self._who(spec)] = rights
        return acl.descriptor(masks, directory=True)

    def start(self, name: str) -> None:
        record = self._record(name)
        if record is None:
            native.restart(name, self.home)
            return
        self._end(name)
        self._hand_over(record["spec"])
        end = time.monotonic() + START_S
        ntfs.discard_below(self._folder(name), "log", "began")
        while True:  # while the scheduler still thinks that the old one runs, it starts nothing, and says yes
            schedule.run(self.task(name))
            for _ in range(20):
                if os.path.exists(self._began(name)):
                    return
                time.sleep(0.05)
            if time.monotonic() > end:
                raise schedule.not_run(f"start {name}", self.task(name))

    def _end(self, name: str) -> None:
        win32.end_job(self.job(name))
        end = time.monotonic() + START_S
        while win32.job_processes(self.job(name)):
            if time.monotonic() > end:
                raise Refused(f"stop {name}", "its processes do not end", "restart that machine")
            time.sleep(0.05)

    def remove(self, name: str) -> None:
        schedule.delete(self.task(name))
        self._end(name)
        if os.path.isdir(self._folder(name)):
            patiently(lambda: shutil.rmtree(self._folder(name)))

    def restarts_of(self, name: str) -> int:
        """0 where it cannot be seen."""
        try:
            with ntfs.opened_below(self._folder(name), "log", "began") as file:
                return int(file.read(20) or 0)
        except (OSError, ValueError, Refused):
            return 0

    def log_tail(self, name: str, lines: int) -> str:
        try:
            with ntfs.opened_below(self._folder(name), "log", name + ".log") as file:
                return holder.tail(file, lines)
        except FileNotFoundError:
            return ""
        except Refused as refused:
            return f"its log is not read: {refused.why}"


def _at_home(environment: State) -> State:
    """Programs find their home by HOME elsewhere, by USERPROFILE here."""
    home = {"USERPROFILE": environment["HOME"]} if "HOME" in environment else {}
    return {**home, **environment}
