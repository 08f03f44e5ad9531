"""What a Windows machine must be like, worked out from the data alone and in this suite's own way. Pure."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .desk import Expected
from .expected import WantedFile, gateway_files, in_container, services, things
from .windows_parse import joined

TASKS = "\\llm-harness\\"
SYSTEM, LOCAL_SERVICE, NETWORK_SERVICE = "S-1-5-18", "S-1-5-19", "S-1-5-20"
ACCOUNTS = {"system": SYSTEM, "own": LOCAL_SERVICE}
NAMES = {LOCAL_SERVICE: "LOCAL SERVICE", NETWORK_SERVICE: "NETWORK SERVICE"}

# Access in the words of `windows_parse.access`.
PRIVATE = "SYSTEM everything, administrators everything"
OPEN_FILE = f"{PRIVATE}, users reads"
OPEN_DIRECTORY = f"{PRIVATE}, users runs"
LENT = "SYSTEM everything, a person reads, administrators everything"
HANDED_DOWN = "{}; not cut off from the folder above"


def handed_down(access: str) -> str:
    """The access of a file that has all of it from its folder."""
    return HANDED_DOWN.format(", ".join(f"{each} (ID)" for each in access.split(", ")))


def files(machine: Expected) -> Iterator[WantedFile]:
    """What must lie on a Windows machine, and who may do what with it."""
    if "agent" in machine:
        yield WantedFile(machine["agent"]["home"], PRIVATE, "directory")
    if "ssh" in machine:
        yield WantedFile(machine["ssh"]["drop_in"], OPEN_FILE)
    if "gateway" in machine:
        home = machine["gateway_place"]["home"]
        yield WantedFile(home, OPEN_DIRECTORY, "directory")
        # Docker's engine runs in a person's session there, who gives the container its variables.
        lent = in_container(machine) and "docker" in machine
        yield WantedFile(ntpath.join(home, "gateway.env"), LENT if lent else PRIVATE)
        if lent:
            yield WantedFile(ntpath.join(home, "start.json"), OPEN_FILE)
        yield WantedFile(ntpath.join(home, "app"), OPEN_DIRECTORY, "directory")
        for name in gateway_files(machine):
            yield WantedFile(ntpath.join(home, *name.split("/")), OPEN_FILE)
    for service in services(machine):
        account = account_of(service.account, service.secrets)
        yield from _held(held_folder(machine, "services", service.name), account)
        if service.secrets:
            yield WantedFile(secrets_copy(machine, service.name), handed_down(_and(account, "runs")))
        if service.state:
            yield WantedFile(service.state, _and(account, "changes"), "directory")
    for task in things(machine, "tasks"):
        if task["account"] in ACCOUNTS:
            yield from _held(held_folder(machine, "tasks", task["name"]), ACCOUNTS[task["account"]])


def account_of(account: str, secrets: str) -> str:
    """The SID that a service of ours runs as: the secrets of one are not for another, so they have an own one."""
    return NETWORK_SERVICE if account == "own" and secrets else ACCOUNTS[account]


def _and(account: str, verb: str) -> str:
    """PRIVATE, and what an account without rights may do."""
    return f"{NAMES[account]} {verb}, {PRIVATE}" if account in NAMES else PRIVATE


def _held(folder: str, account: str) -> Iterator[WantedFile]:
    access = _and(account, "runs")
    yield WantedFile(folder, access, "directory")
    for name in ("hold.json", "holder.pyz"):
        yield WantedFile(ntpath.join(folder, name), handed_down(access))


def held_folder(machine: Expected, place: str, name: str) -> str:
    """Where the order and the program lie that a task runs; `place` is services or tasks."""
    return ntpath.join(str(machine["agent"]["home"]), place, name)


def secrets_copy(machine: Expected, name: str) -> str:
    """The copy of its secrets that a service without rights may read."""
    return ntpath.join(held_folder(machine, "services", name), "secrets")


def lent(machine: Expected) -> list[str]:
    """Files with secrets that one account besides administrators may read: who, is in `files`."""
    copies = [secrets_copy(machine, each.name) for each in services(machine) if each.secrets]
    keys = ntpath.join(machine["gateway_place"]["home"], "gateway.env") if in_container(machine) else ""
    return [*copies, keys] if "docker" in machine and keys else copies


def roots(machine: Expected) -> list[str]:
    """Where our files lie, for whoever looks for something that leaked."""
    found = [str(machine["agent"]["home"])] if "agent" in machine else []
    if "gateway" in machine:
        found.append(str(machine["gateway_place"]["home"]))
    if "ollama" in machine:
        found.append(str(machine["ollama"]["state"]))
    return found


# ---- what starts with the machine: a scheduled task, the holder that it runs, and the order that the holder reads

TASK_DEFAULTS = {
    "Enabled": "true",
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "true",
    "StopIfGoingOnBatteries": "true",
    "AllowHardTerminate": "true",
    "StartWhenAvailable": "false",
    "RunOnlyIfNetworkAvailable": "false",
    "AllowStartOnDemand": "true",
    "Hidden": "false",
    "RunOnlyIfIdle": "false",
    "WakeToRun": "false",
    "ExecutionTimeLimit": "P3D",  # as Windows writes three days
    "Priority": "7",
}
NO_MATTER = re.compile(
    r"RegistrationInfo/.*|Settings/(IdleSettings/.*|UseUnifiedSchedulingEngine|DisallowStartOnRemoteAppSession)"
    r"|Triggers/\w+( \d+)?/Enabled|Principals/Principal/(RunLevel|LogonType)|Triggers"
)


def definition(
    machine: Expected,
    place: str,
    spec: Mapping[str, Any],
    triggers: Mapping[str, str],
    accounts: Mapping[str, str],
) -> dict[str, str]:
    """Everything that must be said of a held program. `spec` has name, command, environment, account and choices.

    `accounts`: {account's name: SID} for those that the data cannot know.
    """
    name = spec["name"]
    folder = held_folder(machine, place, name)
    account = accounts.get(spec["account"], spec["account"])
    if spec["account"] in ACCOUNTS:
        account = account_of(spec["account"], spec.get("secrets", ""))
    environment = dict(spec["environment"])
    if "HOME" in environment:
        environment.setdefault("USERPROFILE", environment["HOME"])
    if spec.get("secrets"):
        environment["SECRETS_FILE"] = secrets_copy(machine, name)
    program, *options = str(machine["agent"]["python"]).split()
    arguments = [*options, ntpath.join(folder, "holder.pyz"), "hold", ntpath.join(folder, "hold.json")]
    settings = {
        **TASK_DEFAULTS,
        "Enabled": _word(spec.get("enabled", True)),
        "DisallowStartIfOnBatteries": _word(not spec.get("battery", True)),
        "StopIfGoingOnBatteries": _word(not spec.get("battery", True)),
        "StartWhenAvailable": _word(spec.get("catch_up", False)),
        "ExecutionTimeLimit": duration(f"PT{spec.get('limit_s', 0)}S"),
        "Priority": "5",
    }
    return {
        "holder": "as it was put there",
        "order command": joined(spec["command"]),
        **{f"order variable {name}": str(value) for name, value in environment.items()},
        "order job": f"llm-harness-{place}-{name}",
        "order log": ntpath.join(folder, "log", f"{name}.log"),
        "order began": ntpath.join(folder, "log", "began"),
        "order again": _word(place == "services"),
        "order pause_s": "2",
        "task Actions/Exec/Command": program,
        "task Actions/Exec/Arguments": joined(arguments),
        "task Principals/Principal/UserId": account,
        **{f"task Triggers/{path}": text for path, text in triggers.items()},
        **{f"task Settings/{tag}": text for tag, text in settings.items()},
    }


def triggers(wanted: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Triggers of the data as {path of the element: text}. A trigger that says nothing has the text ""."""
    found: dict[str, str] = {}
    for number, each in enumerate(wanted, 1):
        place = {"boot": "BootTrigger", "logon": "LogonTrigger", "every": "TimeTrigger"}.get(
            each["at"], "CalendarTrigger"
        )
        same = sum(1 for path in found if path.partition("/")[0].partition(" ")[0] == place)
        place = f"{place} {number}" if same else place
        inner = {"Delay": duration(f"PT{each['delay_s']}S")} if each.get("delay_s") else {}
        inner |= {"StartBoundary": each["start"]} if each.get("start") else {}
        if each["at"] == "every":
            inner["Repetition/Interval"] = duration(f"PT{each['every_s']}S")
        if each["at"] == "daily":
            inner["ScheduleByDay/DaysInterval"] = "1"
        if each["at"] == "weekly":
            inner |= {f"ScheduleByWeek/DaysOfWeek/{day}": "" for day in each["days"]}
            inner["ScheduleByWeek/WeeksInterval"] = "1"
        found |= {f"{place}/{path}": text for path, text in inner.items()} or {place: ""}
    return found


def said_of(task: Mapping[str, str], order: Mapping[str, Any], holder: tuple[str | None, str | None]) -> dict[str, str]:
    """What is said of a held program: by its task, by its order, and by the sha256 (found, noted) of its holder."""
    found: dict[str, str] = {}
    if holder[0] is not None:
        found["holder"] = "as it was put there" if holder[0] == holder[1] else f"another (sha256 {holder[0][:12]})"
    for name, value in order.items():
        if name == "environment" and isinstance(value, dict):
            found |= {f"order variable {each}": str(text) for each, text in value.items()}
        elif name == "command" and isinstance(value, list):
            found["order command"] = joined(list(map(str, value)))
        else:
            found[f"order {name}"] = _word(value)
    if task:
        told = {f"Settings/{tag}": text for tag, text in TASK_DEFAULTS.items()} | dict(task)
        for path, text in told.items():
            off = path.startswith("Triggers/") and text == "false"
            if off or not NO_MATTER.fullmatch(path):
                found[f"task {path}"] = duration(text)
        for path in task:  # one with nothing to say but that it is on, is there all the same
            trigger = re.fullmatch(r"(Triggers/\w+(?: \d+)?)/Enabled", path)
            if trigger and not any(each.startswith(f"{trigger[1]}/") and each != path for each in task):
                found[f"task {trigger[1]}"] = ""
    return found


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def duration(text: str) -> str:
    """A duration as `n s`, in whatever form it was said; other text as it stands."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?", text)
    if not found or text in ("P", "PT"):
        return text
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return f"{((days * 24 + hours) * 60 + minutes) * 60 + seconds} s"
