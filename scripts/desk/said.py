"""Reading what pyinfra prints: its steps, its results, and its ways to fail as one sentence each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

STEP = re.compile(r"^-->\s+Starting (?:[\w ]+ )?operation: (?P<name>.*?)\s*$")
BAD_DATA = re.compile(r"^--> (?:[\w ]+) error(?: in (?P<file>.*) line (?P<line>\d+))?: (?P<sentence>.*)$")
EXCEPTION = re.compile(r"^--> An (?:internal )?exception occurred(?: in: (?P<file>.*?))?:\s*$")
RAISED = re.compile(r"^(?P<kind>[\w.]+(?:Error|Exception|Interrupt|Exit|Warning))(?:: (?P<what>.*))?$")
OF_MACHINE = re.compile(r"^\s*\[(?P<machine>[^\]]+)\](?: nested)?\s+(?P<text>.*?)\s*$")
PLACE = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

NOBODY_LEFT = "No hosts remaining!"

# What pyinfra's connector says, and what helps.
REASONS = (
    (
        "does not match",
        "its host key changed: if you reinstalled it, `ssh-keygen -R {machine}` and connect once by hand",
    ),
    (
        "found in known_hosts",
        "its host key is unknown here: connect once by hand (`ssh {machine}`) and compare the key",
    ),
    (
        "Authentication error",
        "it refuses this desk's key: run its bootstrap (scripts/) there, or see ssh_user in inventory.py",
    ),
    (
        "Could not resolve",
        "see that Tailscale runs on this desk (`tailscale status`) and that inventory.py has the name right",
    ),
    ("", "see that it is on and on the tailnet (`tailscale status`), then try again"),
)


@dataclass
class Said:
    """All that a run of pyinfra said, in so far as it matters."""

    step: str = ""
    machines: list[str] = field(default_factory=list)
    unreachable: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    _connecting: bool = False
    _exception: list[str] | None = None

    def hear(self, raw: str) -> tuple[str, str] | None:
        """Take in one line. Gives (machine, text) for a line about one machine that is no matter of connecting."""
        text = ANSI.sub("", raw).rstrip("\n")
        if text.startswith("-->"):
            self._header(text)
            return None
        if self._exception is not None:
            self._exception.append(text)
            return None
        if not (match := OF_MACHINE.match(text)):
            return None
        machine, what = match["machine"], match["text"]
        if machine not in self.machines:
            self.machines.append(machine)
        if self._connecting:
            if what != "Connected":
                self.unreachable[machine] = unreachable(machine, what)
            return None
        return machine, what

    def _header(self, text: str) -> None:
        self._connecting = text.startswith("--> Connecting to hosts")
        if match := STEP.match(text):
            self.step = match["name"]
        elif match := EXCEPTION.match(text):
            self._exception = [f'File "{match["file"]}", line 0'] if match["file"] else []
        elif (match := BAD_DATA.match(text)) and match["sentence"] != NOBODY_LEFT:
            self.errors.append(match["sentence"])
        elif self._exception is not None and text.startswith("--> Disconnecting"):
            self._close_exception()

    def end(self) -> None:
        """No more lines come."""
        if self._exception is not None:
            self._close_exception()

    def _close_exception(self) -> None:
        self.errors.append(sentence_of(self._exception or []))
        self._exception = None


def unreachable(machine: str, why: str) -> str:
    """One sentence: the machine, what happened, what helps."""
    fix = next(fix for sign, fix in REASONS if sign in why)
    return f"{machine}: cannot be reached ({_plain(why)}): {fix.format(machine=machine)}"


def _plain(why: str) -> str:
    """`Could not connect ([Errno 111] Connection refused)` without the wrapping."""
    inner = re.sub(r"^(?:Could not connect|Could not resolve hostname|SSH error) \((.*)\)$", r"\1", why)
    inner = re.sub(r"\[Errno -?\w+\] ", "", inner).removeprefix("StrictPolicy: ")
    return inner.strip() or why


def sentence_of(traceback: Iterable[str]) -> str:
    """A traceback in one sentence: the deepest line of ours, or of anybody, and what was raised there."""
    place, raised = "", "it failed"
    for text in traceback:
        if match := PLACE.match(text):
            if "site-packages" not in match["file"] or not place:
                place = match["file"] if match["line"] == "0" else f"{match['file']} line {match['line']}"
        elif match := RAISED.match(text):
            raised = f"{match['kind']}: {match['what']}" if match["what"] else match["kind"]
    return f"{place}: {raised}" if place else raised
