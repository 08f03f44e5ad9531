"""The Task Scheduler: definitions, running instances, triggers; and `schtasks` in front of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import taskstore
from .processes import Process
from .taskstore import Node, Refusal

if TYPE_CHECKING:
    from .machine import Machine

HAS_NOT_RUN, RUNNING, ENDED_BY_USER, NO_FILE = 0x41303, 0x41301, 0x41306, 0x80070002
NEVER = "11/30/1999 12:00:00 AM"
COLUMNS = [
    "HostName",
    "TaskName",
    "Next Run Time",
    "Status",
    "Logon Mode",
    "Last Run Time",
    "Last Result",
    "Author",
    "Task To Run",
    "Start In",
    "Comment",
    "Scheduled Task State",
    "Idle Time",
    "Power Management",
    "Run As User",
    "Delete Task If Not Rescheduled",
    "Stop Task If Runs X Hours and X Mins",
    "Schedule",
    "Schedule Type",
    "Start Time",
    "Start Date",
    "End Date",
    "Days",
    "Months",
    "Repeat: Every",
    "Repeat: Until: Time",
    "Repeat: Until: Duration",
    "Repeat: Stop If Still Running",
]
GERMAN_COLUMNS = {"TaskName": "Aufgabenname", "Last Result": "Letztes Ergebnis", "Status": "Status"}  # recorded


@dataclass
class Task:
    path: str
    node: Node
    last: int = HAS_NOT_RUN
    ran: bool = False
    instances: list[Process] = field(default_factory=list)
    fired: list[str] = field(default_factory=list)  # triggers that fired, for tests
    started_s: float = 0

    def setting(self, tag: str) -> str:
        settings = self.node.find("Settings") or Node("")
        return settings.value(tag, taskstore.DEFAULTS.get(tag, ""))

    @property
    def enabled(self) -> bool:
        return self.setting("Enabled") == "true"


def split(line: str) -> list[str]:
    """Arguments as the C runtime of a Windows program splits them."""
    words, word, quoted, slashes, there = [], "", False, 0, False
    for letter in line:
        if letter == "\\":
            slashes += 1
            continue
        if letter == '"':
            word += "\\" * (slashes // 2)
            if slashes % 2:
                word += '"'
            else:
                quoted = not quoted
            there = True
        else:
            word += "\\" * slashes
            if letter in " \t" and not quoted:
                if there or word:
                    words.append(word)
                word, there = "", False
            else:
                word, there = word + letter, True
        slashes = 0
    word += "\\" * slashes
    return [*words, word] if there or word else words


class Scheduler:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.tasks: dict[str, Task] = {}
        self.folders = {"\\"}
        self.ending: set[int] = set()  # being ended by /End

    @staticmethod
    def full(name: str) -> str:
        return name if name.startswith("\\") else "\\" + name

    def find(self, name: str) -> Task | None:
        return self.tasks.get(self.full(name).lower())

    def create(self, name: str, raw: bytes) -> Task:
        """Register: what ran under the name goes on and stays tracked. Raises Refusal."""
        node = taskstore.parsed(taskstore.decoded(raw, "cp1252"))
        taskstore.check(node, self.machine)
        path = self.full(name)
        before = self.find(path)
        task = Task(path, node)
        if before:
            task.last, task.ran, task.instances = before.last, before.ran, before.instances
        self.tasks[path.lower()] = task
        folder = path.rpartition("\\")[0]
        while folder:
            self.folders.add(folder.lower())
            folder = folder.rpartition("\\")[0]
        self.machine.drive.write(f"C:\\Windows\\System32\\Tasks{path}", raw)
        if any(each.tag == "RegistrationTrigger" for each in node.walk()) and task.enabled:
            task.fired.append("RegistrationTrigger")
            self.start(task)
        return task

    def delete(self, task: Task) -> None:
        """The instance that runs is no longer known to anybody."""
        del self.tasks[task.path.lower()]
        self.machine.drive.real(f"C:\\Windows\\System32\\Tasks{task.path}").unlink(missing_ok=True)

    def start(self, task: Task) -> None:
        """Nothing, without a word, when it runs already or must not run on battery."""
        if task.instances and task.setting("MultipleInstancesPolicy") == "IgnoreNew":
            return
        if self.machine.battery and task.setting("DisallowStartIfOnBatteries") == "true":
            return
        task.ran = True
        actions = (task.node.find("Actions") or Node("")).children
        self._action(task, list(actions))

    def _action(self, task: Task, actions: list[Node]) -> None:
        """Actions run one after another."""
        action = actions.pop(0)
        sid = taskstore.sid_of(self.machine, taskstore.principal_of(task.node).value("UserId"))
        command = [action.value("Command"), *split(action.value("Arguments"))]
        try:
            process = self.machine.processes.start(
                command,
                None,
                environment={**self.machine.block, "USERNAME": self.machine.account(sid)[1]},
                sids=self.machine.token(sid),
            )
        except OSError:
            task.last = NO_FILE
            return
        process.after = actions
        with self.machine.processes.lock:
            task.instances.append(process)
        if not process.alive:  # it was quicker than we are
            self.ended(process)

    def ended(self, process: Process) -> None:
        for task in list(self.tasks.values()):
            with self.machine.processes.lock:
                if process not in task.instances:
                    continue
                task.instances.remove(process)
            task.last = ENDED_BY_USER if process.pid in self.ending else process.code or 0
            if process.after and process.pid not in self.ending:
                self._action(task, process.after)

    def end(self, task: Task) -> None:
        """Only the action's own process; its children live on (recorded)."""
        for process in list(task.instances):
            self.ending = {process.pid}
            self.machine.processes.end(process, 1)
            self.ending = set()

    def booted(self) -> None:
        self._fire("BootTrigger")

    def logged_on(self) -> None:
        self._fire("LogonTrigger")

    def _fire(self, kind: str) -> None:
        for task in list(self.tasks.values()):
            triggers = (task.node.find("Triggers") or Node("")).children
            on = [each for each in triggers if each.tag == kind and each.value("Enabled", "true") == "true"]
            if on and task.enabled:
                task.fired.append(kind)
                self.start(task)

    def pass_time(self, passed_s: int) -> None:
        for task in list(self.tasks.values()):
            limit = taskstore.seconds(task.setting("ExecutionTimeLimit")) or 0
            task.started_s += passed_s if task.instances else 0
            if limit and task.started_s > limit:
                self.end(task)

    def on_battery(self) -> None:
        self.machine.battery = True
        for task in list(self.tasks.values()):
            if task.setting("StopIfGoingOnBatteries") == "true":
                self.end(task)

    def result_of(self, task: Task) -> int:
        """As PowerShell shows it: unsigned."""
        return RUNNING if task.instances else task.last if task.ran else HAS_NOT_RUN


class Schtasks:
    """schtasks.exe: exit code 0 or 1, ERROR on stderr, everything else on stdout."""

    def __init__(self, machine: Machine, process: Process) -> None:
        self.machine, self.process, self.scheduler = machine, process, machine.scheduler
        self.options = self._parsed(process.arguments)

    @staticmethod
    def _parsed(arguments: list[str]) -> dict[str, str]:
        options: dict[str, str] = {}
        last = ""
        for each in arguments:
            if each.startswith("/"):
                last = each.upper()
                options[last] = ""
            else:
                options[last] = each
        return options

    def say(self, text: str) -> None:
        self.process.say(self._encoded(text + "\r\n"))

    def _encoded(self, text: str) -> bytes:
        encoding = self.machine.tools.schtasks_encoding or self.machine.oem
        if encoding == "utf-16":
            return (b"\xff\xfe" if not self.process.out else b"") + text.encode("utf-16-le")
        return text.encode(encoding, "replace")

    def fail(self, sentence: str, *values: object, tail: str = "", code: int = 0x80070005) -> int:
        said = self.machine.say("ERROR: ") + self.machine.say(sentence, *values)
        self.process.say(
            (said + "\r\r\n" + (tail + "\r\r\n" if tail else "")).encode(self.machine.oem, "replace"), True
        )
        return code if "/HRESULT" in self.options else 1

    def good(self, sentence: str, *values: object) -> int:
        self.say(self.machine.say("SUCCESS: ") + self.machine.say(sentence, *values))
        return 0

    def main(self) -> int:
        verbs = {"/CREATE": self.create, "/QUERY": self.query, "/RUN": self.run, "/END": self.end}
        verbs |= {"/DELETE": self.delete, "/CHANGE": self.change}
        verb = next((each for each in self.options if each in verbs), "")
        return verbs[verb]() if verb else self.fail("Invalid syntax.")

    def create(self) -> int:
        name = self.options["/TN"]
        if self.scheduler.find(name) and "/F" not in self.options:
            text = 'The task name "{0}" already exists. Do you want to replace it (Y/N)?'
            self.say(self.machine.say("WARNING: ") + self.machine.say(text, name))
            return 1
        try:
            raw = self.machine.drive.read(self.options["/XML"])
            self.scheduler.create(name, raw)
        except FileNotFoundError:
            return self.fail("The system cannot find the file specified.")
        except Refusal as refusal:
            return self.fail(refusal.sentence, tail=refusal.tail, code=0x8004131A)
        return self.good('The scheduled task "{0}" has successfully been created.', name)

    def query(self) -> int:
        name = self.options.get("/TN")
        if name is None:
            tasks = list(self.scheduler.tasks.values())
        else:
            task = self.scheduler.find(name)
            if task is None:
                return self.fail("The system cannot find the file specified.", code=0x80070002)
            tasks = [task]
        if "/XML" in self.options:
            texts = [taskstore.canonical(each.node, each.path, self.machine) for each in tasks]
            self.say("\r\n\r\n".join(texts))
            return 0
        if "/NH" not in self.options:
            heads = COLUMNS if "/V" in self.options else COLUMNS[1:4]
            german = self.machine.language == "de"
            self.say(",".join(f'"{GERMAN_COLUMNS.get(each, each) if german else each}"' for each in heads))
        for each in tasks:
            self.say(self._row(each))
        return 0

    def _row(self, task: Task) -> str:
        status = "Running" if task.instances else "Ready" if task.enabled else "Disabled"
        result = self.scheduler.result_of(task)
        signed = result - (1 << 32) if result >= 1 << 31 else result
        action = next((each for each in task.node.walk() if each.tag == "Exec"), Node(""))
        never = "30.11.1999 00:00:00" if self.machine.language == "de" else NEVER
        row = dict.fromkeys(COLUMNS, self.machine.say("N/A"))
        row.update({"HostName": "APEX", "TaskName": task.path, "Status": self.machine.say(status)})
        row["Last Result"] = str(signed)
        row["Last Run Time"] = "11/22/2026 2:00:00 PM" if task.ran else never
        row["Task To Run"] = f"{action.value('Command')} {action.value('Arguments')}".strip()
        names = COLUMNS if "/V" in self.options else COLUMNS[1:4]
        return ",".join(f'"{row[each]}"' for each in names)

    def run(self) -> int:
        task = self.scheduler.find(self.options["/TN"])
        if task is None:
            return self.fail("The system cannot find the file specified.", code=0x80070002)
        if not task.enabled:
            return self.fail("The task is disabled.", code=0x80041326)
        if task.setting("AllowStartOnDemand") == "false":
            return self.fail("The task cannot be started on demand.", code=0x80041328)
        self.scheduler.start(task)
        return self.good('Attempted to run the scheduled task "{0}".', self.options["/TN"])

    def end(self) -> int:
        task = self.scheduler.find(self.options["/TN"])
        if task is None:
            return self.fail("The system cannot find the file specified.", code=0x80070002)
        self.scheduler.end(task)
        return self.good('The scheduled task "{0}" has been terminated successfully.', self.options["/TN"])

    def delete(self) -> int:
        task = self.scheduler.find(self.options["/TN"])
        if task is None:
            return self.fail("The system cannot find the file specified.", code=0x80070002)
        self.scheduler.delete(task)
        return self.good('The scheduled task "{0}" was successfully deleted.', self.options["/TN"])

    def change(self) -> int:
        name = self.options["/TN"]
        task = self.scheduler.find(name)
        if task is None:
            return self.fail('The specified task name "{0}" does not exist in the system.', name, code=0x80070002)
        sid = taskstore.sid_of(self.machine, taskstore.principal_of(task.node).value("UserId"))
        if not re.fullmatch(r"S-1-5-(18|19|20)", sid) and not self.process.has_input:
            self.say(self.machine.say("Please enter the run as password for {0}:", self.machine.shown(sid)))
            return self.fail("Access is denied.")
        settings = task.node.find("Settings")
        if settings is None:
            settings = Node("Settings")
            task.node.children.append(settings)
        settings.children = [each for each in settings.children if each.tag != "Enabled"]
        settings.children.append(Node("Enabled", text="false" if "/DISABLE" in self.options else "true"))
        return self.good('The parameters of scheduled task "{0}" have been changed.', name)
