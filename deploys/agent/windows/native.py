"""Windows' own services: settings from the registry, state from `sc` by its numbers, changed by the service manager."""

from __future__ import annotations

import os
import re
import time
from typing import Callable, Optional

from ..errors import Refused
from ..system import State
from . import registry, schedule, win32

SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
STOPPED, RUNNING = 1, 4
NO_SUCH, ALREADY_RUNS, NOT_STARTED = 1060, 1056, 1062
STARTS = {"auto": 2, "manual": 3, "disabled": 4}
WORDS = {"auto": "auto", "delayed": "delayed-auto", "manual": "demand", "disabled": "disabled"}
WITHIN_S = 45.0  # less than the desk waits for an answer
ROW = re.compile(rb"^[ \t]+[^:\r\n]+:[ \t]*(\w+)", re.M)  # the first word behind an indented label


def look(name: str) -> Optional[State]:
    """{"start": "auto"|"delayed"|"manual"|"disabled"|"boot", "running": bool, "process": pid} or None."""
    values = registry.values(f"{SERVICES}\\{name}")
    state, pid = _state(name)
    if values is None or state == 0:
        return None
    found = {word.lower(): data for word, (_, data) in values.items()}
    start = {number: word for word, number in STARTS.items()}.get(found.get("start", 3), "boot")
    if start == "auto" and found.get("delayedautostart"):
        start = "delayed"
    return {"start": start, "running": state == RUNNING, "process": pid}


def _state(name: str) -> tuple[int, int]:
    """(state's number, pid); zeros when there is no such service. By their places: the labels are translated."""
    code, out, _ = win32.run("sc.exe", ["queryex", name])
    rows = ROW.findall(out)
    if code or len(rows) < 7:
        return 0, 0
    _kind, state, *_codes_and_hints, pid = rows[:7]
    return int(state), int(pid)


def set_start(name: str, start: str) -> None:
    code, out, _ = win32.run("sc.exe", ["config", name, "start=", WORDS[start]])
    if code:
        raise _refused(f"have service {name} start {start}", code, out)


def turn(name: str, on: bool) -> None:
    """Start or stop it and wait until it is so."""
    verb, wanted, fine = ("start", RUNNING, ALREADY_RUNS) if on else ("stop", STOPPED, NOT_STARTED)
    code, out, _ = win32.run("sc.exe", [verb, name])
    if code not in (0, fine):
        raise _refused(f"{verb} service {name}", code, out)
    _wait(f"{verb} service {name}", lambda: _state(name)[0] == wanted)


def restart(name: str, directory: str) -> None:
    """Stop and start by the Task Scheduler: should our way in end with the service, it comes back all the same."""
    before = _state(name)[1]
    task = f"{schedule.FOLDER}restart-{name}"
    net = rf"{os.environ['SYSTEMROOT']}\System32\net.exe"
    spec = {"account": "system", "actions": [[net, "stop", name], [net, "start", name]]}
    schedule.register(task, spec, directory)
    try:
        schedule.run(task)
        _wait(f"restart service {name}", lambda: _state(name)[0] == RUNNING and _state(name)[1] != before)
    finally:
        schedule.delete(task)


def _wait(what: str, reached: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN_S
    while not reached():
        if time.monotonic() > end:
            raise Refused(what, f"it is not so after {WITHIN_S:g} s", "see the event log on the machine")
        time.sleep(0.1)


def _refused(what: str, code: int, out: bytes) -> Refused:
    said = " ".join(win32.text(out).split())
    return Refused(what, f"Windows says {code}: {said}", "see that service on the machine")
