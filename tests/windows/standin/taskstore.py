"""Task definitions as the Task Scheduler takes, refuses and hands them back (windows-tasks 1 and 4)."""

from __future__ import annotations

import datetime
import re
import xml.parsers.expat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from .machine import Machine

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
UNEXPECTED = "The task XML contains an unexpected node."
BAD_VALUE = "The task XML contains a value which is incorrectly formatted or out of range."
MISSING = "The task XML is missing a required element or attribute."
MALFORMED = "The task XML is malformed."
NO_ACCOUNT = "No mapping between account names and security IDs was done."
DENIED = "Access is denied."

TRIGGERS = {
    "BootTrigger": {"Delay"},
    "RegistrationTrigger": {"Delay"},
    "LogonTrigger": {"Delay", "UserId"},
    "TimeTrigger": {"RandomDelay"},
    "CalendarTrigger": {"RandomDelay", "ScheduleByDay", "ScheduleByWeek", "ScheduleByMonth"},
    "EventTrigger": {"Delay", "Subscription", "ValueQueries", "PeriodOfOccurrence", "NumberOfOccurrences"},
    "SessionStateChangeTrigger": {"Delay", "UserId", "StateChange"},
}
IN_TRIGGER = {"Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit"}
SETTINGS = [  # canonical order
    "DisallowStartIfOnBatteries",
    "StopIfGoingOnBatteries",
    "AllowHardTerminate",
    "AllowStartOnDemand",
    "Enabled",
    "ExecutionTimeLimit",
    "Hidden",
    "MultipleInstancesPolicy",
    "Priority",
    "RestartOnFailure",
    "RunOnlyIfIdle",
    "RunOnlyIfNetworkAvailable",
    "StartWhenAvailable",
    "WakeToRun",
    "DeleteExpiredTaskAfter",
    "IdleSettings",
    "UseUnifiedSchedulingEngine",
    "DisallowStartOnRemoteAppSession",
]
DEFAULTS = {
    "DisallowStartIfOnBatteries": "true",
    "StopIfGoingOnBatteries": "true",
    "AllowHardTerminate": "true",
    "AllowStartOnDemand": "true",
    "Enabled": "true",
    "ExecutionTimeLimit": "P3D",
    "Hidden": "false",
    "MultipleInstancesPolicy": "IgnoreNew",
    "Priority": "7",
    "RunOnlyIfIdle": "false",
    "RunOnlyIfNetworkAvailable": "false",
    "StartWhenAvailable": "false",
    "WakeToRun": "false",
}
ALWAYS = {"DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "MultipleInstancesPolicy"}
SINCE_1_3 = {"UseUnifiedSchedulingEngine", "DisallowStartOnRemoteAppSession", "ProcessTokenSidType"}
INFO = ["Date", "SecurityDescriptor", "Source", "Author", "Version", "Description", "Documentation", "URI"]
PRINCIPAL = {"UserId", "GroupId", "LogonType", "RunLevel", "DisplayName", "ProcessTokenSidType", "RequiredPrivileges"}
DAYS = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}
MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?")
SECTIONS = {"RegistrationInfo", "Triggers", "Principals", "Settings", "Actions", "Data"}
BOOLEANS = {"true", "false"}


class Refusal(Exception):
    """A sentence, and the place with the node and the value, as in `(14,8):UserId:`."""

    def __init__(self, sentence: str, tail: str = "") -> None:
        super().__init__(sentence, tail)
        self.sentence, self.tail = sentence, tail


@dataclass
class Node:
    tag: str
    line: int = 0
    column: int = 0
    text: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def find(self, tag: str) -> Node | None:
        return next((each for each in self.children if each.tag == tag), None)

    def value(self, tag: str, default: str = "") -> str:
        found = self.find(tag)
        return found.text.strip() if found else default

    def where(self, tag: str = "", value: str = "") -> str:
        return f"({self.line},{self.column}):{tag or self.tag}:{value}"

    def walk(self) -> list[Node]:
        return [self, *(below for each in self.children for below in each.walk())]


def seconds(duration: str) -> int | None:
    """The length of an ISO 8601 duration as the scheduler takes it, or None."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", duration)
    if not found or duration in ("P", "PT") or duration.endswith("T"):
        return None
    days, hours, minutes, rest = (int(each or 0) for each in found.groups())
    length = days * 86400 + hours * 3600 + minutes * 60 + rest
    return length if length < 1 << 32 else None


def parsed(text: str) -> Node:
    """The tree with line and column of each element."""
    parser = xml.parsers.expat.ParserCreate(namespace_separator=" ")
    root = Node("")
    stack = [root]

    def start(name: str, attributes: dict[str, str]) -> None:
        space, _, tag = name.rpartition(" ")
        node = Node(tag, parser.CurrentLineNumber, parser.CurrentColumnNumber + 2, "", dict(attributes))
        if space != NAMESPACE:
            raise Refusal("The task XML contains an unexpected namespace.", node.where())
        stack[-1].children.append(node)
        stack.append(node)

    def end(_: str) -> None:
        stack.pop()

    def data(piece: str) -> None:
        stack[-1].text += piece

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    try:
        parser.Parse(text, True)
    except xml.parsers.expat.ExpatError as problem:
        raise Refusal(MALFORMED, f"({problem.lineno},{problem.offset + 1})::") from None
    return root.children[0]


def decoded(raw: bytes, ansi: str) -> str:
    """UTF-16LE with its mark, or 8-bit text that declares nothing (recorded: fatso83/vmware-auto-suspend)."""
    if raw.startswith(b"\xff\xfe"):
        text = raw[2:].decode("utf-16-le")
        return re.sub(r"^<\?xml[^>]*\?>", lambda found: " " * len(found[0]), text)
    if raw.startswith((b"\xef\xbb\xbf", b"\xfe\xff")):
        raise Refusal(MALFORMED, "(1,2)::ERROR: incorrect document syntax")
    if re.match(rb"<\?xml[^>]*encoding=", raw):
        raise Refusal(MALFORMED, "(1,40)::ERROR: unable to switch the encoding")
    return raw.decode(ansi, "replace")


def check(task: Node, machine: Machine) -> None:
    """Raise Refusal for what the service refuses."""
    version = float(task.attributes.get("version", "1.0"))
    for each in task.children:
        if each.tag not in SECTIONS:
            raise Refusal(UNEXPECTED, each.where())
    _check_settings(task, version)
    _check_triggers(task)
    for action in (task.find("Actions") or Node("")).children:
        for each in action.children:
            if action.tag != "Exec" or each.tag not in ("Command", "Arguments", "WorkingDirectory"):
                raise Refusal(UNEXPECTED, each.where())
            if each.tag != "Arguments" and len(each.text) > 260:
                raise Refusal(BAD_VALUE, each.where(value=each.text))
    _check_principals(task, machine)
    elevated_only = [each.tag for each in (task.find("Triggers") or Node("")).children]
    principal = principal_of(task)
    asks = (
        "BootTrigger" in elevated_only
        or any(each.tag == "LogonTrigger" and not each.find("UserId") for each in task.walk())
        or principal.value("RunLevel") == "HighestAvailable"
        or sid_of(machine, principal.value("UserId")) == "S-1-5-18"
    )
    if asks and not machine.elevated:
        raise Refusal(DENIED)


def _check_settings(task: Node, version: float) -> None:
    settings = task.find("Settings") or Node("Settings")
    for each in settings.children:
        if each.tag not in SETTINGS or (each.tag in SINCE_1_3 and version < 1.3):
            raise Refusal(UNEXPECTED, each.where())
        text = each.text.strip()
        if DEFAULTS.get(each.tag) in BOOLEANS and text not in BOOLEANS:
            raise Refusal(BAD_VALUE, each.where(value=text))
        if each.tag in ("ExecutionTimeLimit", "DeleteExpiredTaskAfter") and seconds(text) is None:
            raise Refusal(BAD_VALUE, each.where(value=text))
        if each.tag == "Priority" and not (text.isdigit() and int(text) <= 10):
            raise Refusal(BAD_VALUE, each.where(value=text))
        if each.tag == "RestartOnFailure":
            for wanted in ("Interval", "Count"):
                if not each.find(wanted):
                    raise Refusal(MISSING, each.where(wanted))
            _check_interval(each)
    expiring = settings.find("DeleteExpiredTaskAfter")
    if expiring and not any(each.tag == "EndBoundary" for each in task.walk()):
        raise Refusal(MISSING, settings.where("EndBoundary"))


def _check_triggers(task: Node) -> None:
    for trigger in (task.find("Triggers") or Node("")).children:
        if trigger.tag not in TRIGGERS:
            raise Refusal(UNEXPECTED, trigger.where())
        for each in trigger.children:
            if each.tag not in IN_TRIGGER | TRIGGERS[trigger.tag]:
                raise Refusal(UNEXPECTED, each.where())
            if each.tag in ("Delay", "ExecutionTimeLimit", "RandomDelay") and seconds(each.text.strip()) is None:
                raise Refusal(BAD_VALUE, each.where(value=each.text.strip()))
            if each.tag == "Repetition":
                _check_interval(each)
            if each.tag in ("StartBoundary", "EndBoundary") and not _is_moment(each.text.strip()):
                raise Refusal(BAD_VALUE, each.where(value=each.text.strip()))
            if each.tag == "ScheduleByWeek" and not each.find("DaysOfWeek"):
                raise Refusal(MISSING, each.where("DaysOfWeek"))
            for day in (each.find("DaysOfWeek") or Node("")).children:
                if day.tag not in DAYS:
                    raise Refusal(UNEXPECTED, day.where())
        start, end = trigger.find("StartBoundary"), trigger.find("EndBoundary")
        if trigger.tag == "CalendarTrigger" and not start:
            raise Refusal(MISSING, trigger.where("StartBoundary"))
        if start and end and end.text.strip() <= start.text.strip():
            raise Refusal(BAD_VALUE, end.where(value=end.text.strip()))


def _is_moment(text: str) -> bool:
    """An xs:dateTime, as the schema has it, of a day that there is."""
    found = MOMENT.fullmatch(text)
    try:
        return bool(found and datetime.datetime.fromisoformat(found[1]))
    except ValueError:
        return False


def _check_interval(node: Node) -> None:
    interval = node.find("Interval")
    length = seconds(interval.text.strip()) if interval else 60
    if interval and (length is None or not 60 <= length <= 31 * 86400):
        raise Refusal(BAD_VALUE, interval.where(value=interval.text.strip()))
    duration = node.find("Duration")
    if duration and (seconds(duration.text.strip()) or 0) < 60:
        raise Refusal(BAD_VALUE, duration.where(value=duration.text.strip()))


def _check_principals(task: Node, machine: Machine) -> None:
    for principal in (task.find("Principals") or Node("")).children:
        if principal.find("UserId") and principal.find("GroupId"):
            raise Refusal(UNEXPECTED, (principal.find("GroupId") or principal).where())
        for each in principal.children:
            if each.tag not in PRINCIPAL:
                raise Refusal(UNEXPECTED, each.where())
    for each in task.walk():
        if each.tag == "UserId":
            name = each.text.strip()
            try:
                machine.account(sid_of(machine, name))
            except OSError:
                raise Refusal(NO_ACCOUNT, each.where()) from None


def sid_of(machine: Machine, account: str) -> str:
    """Of a name, of a SID itself, of nothing (the caller)."""
    return account if account.startswith("S-1-") else machine.sid_of(account or machine.user)


def principal_of(task: Node) -> Node:
    principals = task.find("Principals")
    return principals.children[0] if principals and principals.children else Node("Principal")


def canonical(task: Node, path: str, machine: Machine) -> str:
    """The text that the service hands back: never what was submitted."""
    version = task.attributes.get("version", "1.0")
    lines = ['<?xml version="1.0" encoding="UTF-16"?>', f'<Task version="{version}" xmlns="{NAMESPACE}">']
    info = task.find("RegistrationInfo") or Node("")
    shown = [(tag, info.value(tag)) for tag in INFO if tag != "URI" and info.find(tag)]
    lines += _section("RegistrationInfo", [*shown, ("URI", path)])
    lines += _principals(task, machine)
    lines += _settings(task, float(version))
    triggers = (task.find("Triggers") or Node("")).children
    if triggers:
        lines.append("  <Triggers>")
        for each in triggers:
            lines += _shown(_plain(each, machine), 4)
        lines.append("  </Triggers>")
    else:
        lines.append("  <Triggers />")
    actions = task.find("Actions") or Node("Actions")
    lines += _shown(actions, 2)
    return "\r\n".join([*lines, "</Task>"])


def _plain(node: Node, machine: Machine) -> Node:
    """A trigger without its defaults; a user's name in the account's own spelling. Of a repetition, some Windows
    say that it does not stop what runs at its end, though nobody asked."""
    kept = []
    for each in node.children:
        if (each.tag, each.text.strip()) == ("Enabled", "true"):
            continue
        if each.tag == "UserId":
            each = Node("UserId", text=machine.shown(sid_of(machine, each.text.strip())))  # noqa: PLW2901
        if each.tag == "Repetition" and not each.find("StopAtDurationEnd") and machine.dice.random() < 0.5:
            said = [*each.children, Node("StopAtDurationEnd", text="false")]
            each = Node(each.tag, text=each.text, attributes=each.attributes, children=said)  # noqa: PLW2901
        kept.append(each)
    return Node(node.tag, text="", attributes=node.attributes, children=kept)


def _principals(task: Node, machine: Machine) -> list[str]:
    principal = principal_of(task)
    sid = sid_of(machine, principal.value("UserId"))
    fields = [("UserId", sid)]
    if sid != "S-1-5-18":
        fields.append(("LogonType", principal.value("LogonType", "InteractiveToken")))
    if principal.value("RunLevel") == "HighestAvailable":
        fields.append(("RunLevel", "HighestAvailable"))
    identity = principal.attributes.get("id", "Author")
    inner = _section(f'Principal id="{identity}"', fields, 4)
    return ["  <Principals>", *inner, "  </Principals>"]


def _settings(task: Node, version: float) -> list[str]:
    settings = task.find("Settings") or Node("Settings")
    lines = ["  <Settings>"]
    for tag in SETTINGS:
        found = settings.find(tag)
        if tag == "UseUnifiedSchedulingEngine":
            if version >= 1.3:
                lines.append(f"    <{tag}>true</{tag}>")
            continue
        if found is None and tag not in ALWAYS:
            continue
        text = found.text.strip() if found else DEFAULTS[tag]
        same = text == DEFAULTS.get(tag) or (tag == "ExecutionTimeLimit" and seconds(text) == 3 * 86400)
        if same and tag not in ALWAYS:
            continue
        if found and found.children:
            lines += _shown(found, 4)
        else:
            lines.append(f"    <{tag}>{text}</{tag}>")
    return [*lines, "  </Settings>"]


def _section(head: str, fields: list[tuple[str, str]], indent: int = 2) -> list[str]:
    blank, tag = " " * indent, head.split(" ", maxsplit=1)[0]
    return [f"{blank}<{head}>", *(f"{blank}  <{n}>{escape(v)}</{n}>" for n, v in fields), f"{blank}</{tag}>"]


def _shown(node: Node, indent: int) -> list[str]:
    blank = " " * indent
    head = node.tag + "".join(f' {name}="{value}"' for name, value in node.attributes.items())
    if node.children:
        inner = [line for each in node.children for line in _shown(each, indent + 2)]
        return [f"{blank}<{head}>", *inner, f"{blank}</{node.tag}>"]
    if not node.text:
        return [f"{blank}<{head} />"]
    return [f"{blank}<{head}>{escape(node.text)}</{node.tag}>"]
