"""Scheduled tasks as XML: written with every setting said, read from any form that Windows gives, compared as trees.

What Windows hands back is re-ordered, without defaults, with SIDs for names and other texts for the same time.
So nothing is compared as text: both sides become the same plain tree first.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, Callable, Iterable, Optional, Sequence
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from ..system import State

NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
SERVICE_ACCOUNTS = {"system": "S-1-5-18", "local service": "S-1-5-19", "network service": "S-1-5-20"}
INSTANCES = {"ignore": "IgnoreNew", "queue": "Queue", "parallel": "Parallel", "replace": "StopExisting"}
LOGONS = {"s4u": "S4U", "interactive": "InteractiveToken"}
DEFAULTS = {
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "true",
    "StopIfGoingOnBatteries": "true",
    "AllowHardTerminate": "true",
    "StartWhenAvailable": "false",
    "RunOnlyIfNetworkAvailable": "false",
    "AllowStartOnDemand": "true",
    "Enabled": "true",
    "Hidden": "false",
    "RunOnlyIfIdle": "false",
    "WakeToRun": "false",
    "ExecutionTimeLimit": "PT72H",
    "Priority": "7",
}
DEFAULTS_WITHIN = {("Enabled", "true"), ("StopAtDurationEnd", "false")}  # of a trigger, and of its repetition
NO_MATTER = {"IdleSettings", "UseUnifiedSchedulingEngine", "DisallowStartOnRemoteAppSession"}
DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")

SidOf = Callable[[str], str]


def render(spec: State, sid_of: SidOf) -> bytes:
    """The file for `schtasks /Create /XML`: UTF-16LE with its mark.

    `spec`: description; account ("system", "local service" or a user's name), logon ("s4u" or "interactive", for a
    user), elevated; triggers [{"at": "boot"|"logon"|"daily"|"weekly"|"every", ...}]; actions [[program, argument...]],
    directory; enabled, battery, limit_s, instances, priority, catch_up. All but account and actions may be absent.
    """
    body = _body(spec, sid_of)
    mark = hashlib.sha256(body.encode()).hexdigest()[:12]
    info = f"<RegistrationInfo><Version>{mark}</Version><Description>{escape(spec.get('description', '').strip())}"
    text = f'<Task version="1.2" xmlns="{NAMESPACE}">{info}</Description></RegistrationInfo>{body}</Task>'
    return b"\xff\xfe" + ('<?xml version="1.0" encoding="UTF-16"?>\r\n' + text).encode("utf-16-le")


def _body(spec: State, sid_of: SidOf) -> str:
    parts = ["<Triggers>", *(_trigger(each, sid_of) for each in spec.get("triggers", ())), "</Triggers>"]
    parts.append(_principal(spec, sid_of))
    wanted = {
        **DEFAULTS,
        "MultipleInstancesPolicy": INSTANCES[spec.get("instances", "ignore")],
        "DisallowStartIfOnBatteries": _boolean(not spec.get("battery", True)),
        "StopIfGoingOnBatteries": _boolean(not spec.get("battery", True)),
        "StartWhenAvailable": _boolean(spec.get("catch_up", False)),
        "Enabled": _boolean(spec.get("enabled", True)),
        "ExecutionTimeLimit": f"PT{spec.get('limit_s', 0)}S",
        "Priority": str(spec.get("priority", 5)),
    }
    idle = "<IdleSettings><StopOnIdleEnd>false</StopOnIdleEnd><RestartOnIdle>false</RestartOnIdle></IdleSettings>"
    parts.append(f"<Settings>{''.join(_element(*each) for each in wanted.items())}{idle}</Settings>")
    parts.append('<Actions Context="Author">')
    for program, *arguments in spec["actions"]:
        inner = _element("Command", program)
        inner += _element("Arguments", command_line(arguments)) if arguments else ""
        inner += _element("WorkingDirectory", spec["directory"]) if spec.get("directory") else ""
        parts.append(f"<Exec>{inner}</Exec>")
    return "".join([*parts, "</Actions>"])


def _principal(spec: State, sid_of: SidOf) -> str:
    """A service account needs no word on its logon; a user without a password is S4U or only while logged on."""
    account = SERVICE_ACCOUNTS.get(spec["account"])
    inner = _element("UserId", account or sid_of(spec["account"]))
    if not account:
        inner += _element("LogonType", LOGONS[spec.get("logon", "s4u")])
    inner += _element("RunLevel", "HighestAvailable" if spec.get("elevated") else "LeastPrivilege")
    return f'<Principals><Principal id="Author">{inner}</Principal></Principals>'


def _trigger(trigger: State, sid_of: SidOf) -> str:
    kind = trigger["at"]
    delay = _element("Delay", f"PT{trigger['delay_s']}S") if trigger.get("delay_s") else ""
    start = _element("StartBoundary", trigger["start"]) if "start" in trigger else ""
    if kind == "boot":
        return f"<BootTrigger><Enabled>true</Enabled>{delay}</BootTrigger>"
    if kind == "logon":
        user = _element("UserId", sid_of(trigger["user"])) if trigger.get("user") else ""
        return f"<LogonTrigger><Enabled>true</Enabled>{user}{delay}</LogonTrigger>"
    if kind == "every":
        again = f"<Repetition>{_element('Interval', 'PT%dS' % trigger['every_s'])}</Repetition>"
        return f"<TimeTrigger>{again}{start}<Enabled>true</Enabled></TimeTrigger>"
    days = "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay>"
    if kind == "weekly":
        named = "".join(f"<{day} />" for day in trigger["days"])
        days = f"<ScheduleByWeek><DaysOfWeek>{named}</DaysOfWeek><WeeksInterval>1</WeeksInterval></ScheduleByWeek>"
    return f"<CalendarTrigger>{start}<Enabled>true</Enabled>{days}</CalendarTrigger>"


def command_line(arguments: Sequence[str]) -> str:
    """One string that a program of the C runtime takes apart into these arguments again."""
    return " ".join(map(_quoted, arguments))


def _quoted(argument: str) -> str:
    if argument and not re.search(r'[\s"]', argument):
        return argument
    doubled = re.sub(r'(\\*)"', r'\1\1\\"', argument)
    return '"' + re.sub(r"(\\+)$", r"\1\1", doubled) + '"'


def _element(tag: str, text: str) -> str:
    return f"<{tag}>{escape(text)}</{tag}>"


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def decode(raw: bytes, oem: Callable[[bytes], str]) -> str:
    """What `schtasks` wrote into a pipe; its declaration says UTF-16 whatever the bytes are, so it goes."""
    if raw.startswith(b"\xff\xfe"):
        text = raw[2:].decode("utf-16-le", "replace")
    elif raw[1:2] == b"\0":
        text = raw.decode("utf-16-le", "replace")
    else:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = oem(raw)
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text).strip()


def tree(text: str, sid_of: SidOf) -> Optional[State]:
    """The plain tree of a definition, the same for every form of it; None when it is no task.

    {"enabled", "description", "mark", "account", "logon", "level", "settings", "triggers", "actions"}
    """
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  Windows wrote it
    except ElementTree.ParseError:
        return None
    if root.tag != f"{{{NAMESPACE}}}Task":
        return None
    found = {_tag(each): each for each in root}
    empty = ElementTree.Element("")
    settings = {
        _tag(each): _plain(each, sid_of) for each in found.get("Settings", empty) if _tag(each) not in NO_MATTER
    }
    defaults = {tag: _value(tag, text, sid_of) for tag, text in DEFAULTS.items()}
    information = {_tag(each): (each.text or "").strip() for each in found.get("RegistrationInfo", empty)}
    return {
        "description": _loosely(information.get("Description", "")),
        "mark": information.get("Version", ""),
        **_account(found.get("Principals", empty), sid_of),
        "settings": {**defaults, **settings},
        "triggers": _sorted((_tag(each), _plain(each, sid_of)) for each in found.get("Triggers", empty)),
        "actions": [(_tag(each), _plain(each, sid_of)) for each in found.get("Actions", empty)],
    }


def _account(principals: ElementTree.Element, sid_of: SidOf) -> State:
    fields = {_tag(each): (each.text or "").strip() for principal in principals for each in principal}
    who = fields.get("UserId") or fields.get("GroupId") or ""
    sid = _sid(who, sid_of)
    if sid in SERVICE_ACCOUNTS.values():  # neither says anything there
        return {"account": sid, "logon": "", "level": ""}
    logon = fields.get("LogonType", "InteractiveToken")
    return {"account": sid, "logon": logon, "level": fields.get("RunLevel", "LeastPrivilege")}


def _plain(element: ElementTree.Element, sid_of: SidOf) -> Any:
    """Order does not count, a default does not count, `<X />` equals `<X></X>`."""
    children = [each for each in element if (_tag(each), (each.text or "").strip()) not in DEFAULTS_WITHIN]
    if not children:
        return _value(_tag(element), (element.text or "").strip(), sid_of)
    return _sorted((_tag(each), _plain(each, sid_of)) for each in children)


def _sorted(found: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """In one order whatever they are: of two with the same name one may hold a text and the other a list."""
    return sorted(found, key=json.dumps)


def _value(tag: str, text: str, sid_of: SidOf) -> str:
    length = DURATION.fullmatch(text)
    if length and text not in ("P", "PT") and not text.endswith("T"):
        days, hours, minutes, seconds = (int(each or 0) for each in length.groups())
        return f"{((days * 24 + hours) * 60 + minutes) * 60 + seconds} s"
    return _sid(text, sid_of) if tag == "UserId" else _loosely(text)


def _sid(name: str, sid_of: SidOf) -> str:
    if name.startswith("S-1-"):
        return name
    try:
        return sid_of(name)
    except OSError:
        return name


def _loosely(text: str) -> str:
    """Letters that the code page of a pipe has not come back as `?`: the mark tells of changes in those."""
    return re.sub("[^\x00-\x7f]", "?", text)


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]
