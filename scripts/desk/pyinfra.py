"""Running pyinfra's own command line, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scripts.desk.desk import Desk, Trouble
from scripts.desk.said import Said

PATIENCE_S = 3  # after an interrupt: it closes its connections at once, but may then wait for a command's end
DEBUG_LOG = "pyinfra-debug.log"

Event = dict[str, Any]


class Interrupted(BaseException):
    """The person pressed Ctrl-C, or somebody ended this command: its exit code is 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number


class Report:
    """What our deploys write beside pyinfra's output, read as it grows.

    It lives in memory and has no name of its own, so that nothing of it can stay behind.
    """

    def __init__(self) -> None:
        self.number = os.memfd_create("desk-report")
        self.offset = 0

    @property
    def path(self) -> str:
        """Where a program that inherits `number` finds it."""
        return f"/proc/self/fd/{self.number}"

    def news(self) -> list[Event]:
        """The events since the last time. A line that is still being written waits."""
        size = os.fstat(self.number).st_size
        whole, _, _ = os.pread(self.number, size - self.offset, self.offset).rpartition(b"\n")
        if not whole:
            return []
        self.offset += len(whole) + 1
        return [json.loads(line) for line in whole.splitlines()]


@contextmanager
def report_file() -> Iterator[Report]:
    """The report's file, while a run lasts."""
    report = Report()
    try:
        yield report
    finally:
        os.close(report.number)


@contextmanager
def no_debug_log(desk: Desk) -> Iterator[Path]:
    """pyinfra writes a traceback into the work tree: it goes to the state directory, an older one stays as it was."""
    litter, kept = desk.root / DEBUG_LOG, desk.state / DEBUG_LOG
    before = (litter.stat().st_mtime_ns, litter.read_bytes()) if litter.exists() else None
    try:
        yield kept
    finally:
        if litter.exists() and (before is None or litter.stat().st_mtime_ns != before[0]):
            kept.unlink(missing_ok=True)
            kept.touch(mode=0o600)
            kept.write_bytes(litter.read_bytes())
            if before is None:
                litter.unlink()
            else:
                litter.write_bytes(before[1])


def run(
    desk: Desk,
    arguments: Sequence[str],
    hear: Callable[[str], None],
    report: Report,
    keep: int | None = None,
) -> int:
    """Run it at the root of the checkout, each line of its stderr to `hear`. Gives its exit code.

    `keep`: a file descriptor that it inherits, so that the lock lives as long as it does.
    Raises Interrupted when a signal ended it: pyinfra itself exits 0 then.
    """
    environment = {**desk.environment, "DESK_REPORT": report.path}
    with no_debug_log(desk):
        process = subprocess.Popen(
            [desk.program("pyinfra"), *arguments],
            cwd=desk.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            umask=0o077,
            pass_fds=[number for number in (report.number, keep) if number is not None],
        )
        with process, _forwarding(process) as received:
            assert process.stderr is not None
            for line in process.stderr:
                hear(line)
            code = process.wait()
    if received:
        raise Interrupted(received[0])
    return code


@contextmanager
def _forwarding(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Signals to us are interrupts to it; a second one, or no end after PATIENCE_S, kills it."""
    received: list[int] = []

    def forward(number: int, _frame: object) -> None:
        if received:
            process.kill()
            return
        received.append(number)
        process.send_signal(signal.SIGINT)
        signal.alarm(PATIENCE_S)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)}
    try:
        yield received
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)


def inventory(desk: Desk) -> list[dict[str, Any]]:
    """All machines: [{"name", "groups", "data"}], as pyinfra itself resolves them."""
    with no_debug_log(desk):
        done = subprocess.run(
            [desk.program("pyinfra"), "--json", str(desk.inventory), "debug-inventory"],
            cwd=desk.root,
            env=desk.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
    for line in done.stdout.splitlines():
        if line.startswith("["):
            machines: list[dict[str, Any]] = json.loads(line)
            return machines
    raise Trouble(why_failed(done.stderr) or f"pyinfra could not read {desk.inventory.name} (exit {done.returncode})")


def why_failed(output: str) -> str:
    """The sentences among what pyinfra printed."""
    said = Said()
    for line in output.splitlines():
        said.hear(line)
    said.end()
    return "; ".join(said.errors)
