"""Make it so: pyinfra's steps as they come, then what became of each machine."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from scripts.desk import lock, machines, pyinfra, say
from scripts.desk.desk import Desk, Wish
from scripts.desk.pyinfra import Event, Interrupted, Report
from scripts.desk.said import Said

LOOK = "connect and look"  # the part before any role


@dataclass
class Tally:
    """What happened on one machine so far. `ended_s`: seconds from the start to its last word."""

    changed: int = 0
    as_wanted: int = 0
    failed: int = 0
    ended_s: float = 0.0
    progress: str = ""
    reasons: list[str] = field(default_factory=list)


class Run:
    """One converge, told while it happens."""

    def __init__(self, report: Report, verbose: bool = False) -> None:
        self.report = report
        self.verbose = verbose
        self.said = Said()
        self.tallies: dict[str, Tally] = {}
        self.refusals: list[str] = []
        self.start = self.mark = time.monotonic()
        self.parts: dict[str, float] = {}  # seconds by role, in the order they came; for a run on one machine

    def hear(self, line: str) -> None:
        """One line of pyinfra's."""
        if self.verbose:
            print(line, end="", flush=True)
        about = self.said.hear(line)
        if self.said.step and not self.parts:
            self._spent(LOOK)
        for name in self.said.machines:
            self.tallies.setdefault(name, Tally())
        self.take(self.report.news())
        if about:
            self._result(*about)

    def take(self, events: list[Event]) -> None:
        """What our deploys report beside pyinfra's lines."""
        for event in events:
            name = event["machine"]
            tally = self.tallies.setdefault(name, Tally())
            if event["event"] == "note":
                say.line(name, "·", event["sentence"])
            elif event["event"] == "changed":
                tally.reasons.append(f"{event['kind']} {event['id']}: {event['why']}")
            elif event["event"] == "refused":
                self.refusals.append(event["sentence"])

    def _spent(self, part: str) -> None:
        now = time.monotonic()
        self.parts[part] = self.parts.get(part, 0.0) + now - self.mark
        self.mark = now

    def _result(self, name: str, text: str) -> None:
        tally = self.tallies[name]
        tally.ended_s = time.monotonic() - self.start
        step = self.said.step
        self._spent(step.partition(" | ")[0] or LOOK)
        if text.startswith("Success"):
            tally.changed += 1
            say.line(name, "~", f"{step} ({'; '.join(tally.reasons)})" if tally.reasons else step)
            tally.reasons.clear()
        elif text.startswith("No changes"):
            tally.as_wanted += 1
            say.line(name, "=", step)
        elif text.startswith("Error"):
            tally.failed += 1
            say.line(name, "!", f"{step}: not done")
        elif not text.startswith(("Skipped", "Ready: ")):  # progress, and the words of a refusal
            if text != tally.progress:
                say.line(name, " ", text)
            tally.progress = text

    def summary(self, code: int) -> int:
        """Tell what became of each machine; 1 when anything was refused."""
        self.said.end()
        self.take(self.report.news())
        print()
        for name, tally in self.tallies.items():
            if name in self.said.unreachable:
                continue
            counts = f"{tally.changed} changed, {tally.as_wanted} as wanted"
            failed = f", {tally.failed} not done" if tally.failed else ""
            print(f"{name}: {counts}{failed}, {tally.ended_s:.1f} s")
        sentences = [*self.refusals, *self.said.unreachable.values(), *self.said.errors]
        failed_steps = any(tally.failed for tally in self.tallies.values())
        if code and not sentences and not failed_steps:
            sentences = [f"pyinfra ended with exit code {code} and no word why: run the same with -v"]
        for sentence in dict.fromkeys(sentences):
            say.complain(sentence)
        return 1 if code or sentences or failed_steps else 0


def run(desk: Desk, wish: Wish, parts: dict[str, float] | None = None) -> int:
    """Converge, one at a time on this desk. `parts` gets the seconds by role."""
    with lock.held(desk, "converge") as number, pyinfra.report_file() as report:
        arguments = ["--yes", *(["-v"] if wish.verbose else []), *machines.arguments(desk, wish)]
        running = Run(report, wish.verbose)
        running.parts = parts if parts is not None else running.parts
        try:
            code = pyinfra.run(desk, arguments, running.hear, report, keep=number)
        except Interrupted as interrupted:
            running.summary(0)
            say.complain("interrupted: what is done stays done; converge again to finish")
            return interrupted.code
        return running.summary(code)
