"""The Task Scheduler by `schtasks`: registered whole, read back, compared as trees. No word of it is understood."""

from __future__ import annotations

import csv
import io
import os
import sys
from typing import Optional

from ..errors import Refused
from ..fresh import write_new
from ..patience import discard
from ..system import State
from . import accounts, win32
from .taskxml import decode, render, tree

FOLDER = "\\llm-harness\\"
MISSING = {0x80070002, 0x80070003}  # no such task, no such folder: with /HRESULT the exit code says which
RUNNING, HAS_NOT_RUN = 0x41301, 0x41303


def definition(name: str) -> Optional[State]:
    """The plain tree of what is registered under that name (see `taskxml.tree`), or None."""
    code, out, err = win32.run("schtasks.exe", ["/Query", "/TN", name, "/XML", "ONE", "/HRESULT"])
    if code & 0xFFFFFFFF in MISSING:
        return None
    if code:
        raise _refused(f"look at task {name}", out, err)
    return tree(decode(out, win32.text), accounts.sid_of)


def wanted(spec: State) -> State:
    """The plain tree that `spec` (see `taskxml.render`) asks for."""
    made = tree(decode(render(spec, accounts.sid_of), win32.text), accounts.sid_of)
    if made is None:
        raise ValueError(f"no task: {spec}")
    return made


def register(name: str, spec: State, directory: str) -> None:
    """Create or replace; what runs under that name goes on. `directory`: where only administrators write."""
    path = write_new(directory, render(spec, accounts.sid_of))
    try:
        code, out, err = win32.run("schtasks.exe", ["/Create", "/TN", name, "/XML", path, "/F"])
    finally:
        discard(path)
    if code:
        raise _refused(f"register task {name}", out, err)
    if definition(name) != wanted(spec):
        raise Refused(f"register task {name}", "Windows keeps another definition than it was given", "report this")


def run(name: str) -> None:
    """Start it now. Windows says yes, and starts nothing, when it runs already or must not run on battery."""
    code, out, err = win32.run("schtasks.exe", ["/Run", "/TN", name])
    if code:
        raise _refused(f"start task {name}", out, err)


def delete(name: str) -> None:
    """Forget it; what runs goes on."""
    code, out, err = win32.run("schtasks.exe", ["/Delete", "/TN", name, "/F", "/HRESULT"])
    if code and code & 0xFFFFFFFF not in MISSING:
        raise _refused(f"delete task {name}", out, err)


def last_result(name: str) -> int:
    """The number of its last run, unsigned: RUNNING, HAS_NOT_RUN or the program's exit code."""
    code, out, err = win32.run("schtasks.exe", ["/Query", "/TN", name, "/FO", "CSV", "/V", "/NH"])
    if code:
        raise _refused(f"look at task {name}", out, err)
    rows = list(csv.reader(io.StringIO(win32.text(out))))  # heads are translated, places are not
    return int(rows[0][6]) & 0xFFFFFFFF


def interpreter(agent: str) -> list[str]:
    """The command that starts that agent under the Python of this one."""
    return [sys.executable, "-I", "-X", "utf8", os.path.abspath(agent)]


def not_run(what: str, name: str) -> Refused:
    """That the scheduler said yes and did not."""
    why = f"the Task Scheduler does not run it (last result 0x{last_result(name):08x})"
    return Refused(what, why, "look at the Task Scheduler and at what that task starts")


def _refused(what: str, out: bytes, err: bytes) -> Refused:
    said = " ".join(win32.text(err or out).split())
    return Refused(what, said or "schtasks gave no reason", "see that task in the Task Scheduler on the machine")
