"""Nothing that verify waits for is waited for without an end: whoever hangs is named instead."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import Any

from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend

LOOK_S = 600  # one exec of many commands; each that is known to be slow has a limit of its own
DESK_S = 120  # a program on the desk
CLOSE_S = 15


class TooLong(Exception):
    """A command did not end in time. `out`: what it had said by then."""

    def __init__(self, out: bytes, within_s: float) -> None:
        super().__init__(f"no end within {within_s:.0f} s")
        self.out, self.within_s = out, within_s

    def sentence(self, machine: str, boundary: str) -> str:
        """Which of the commands between marks of this boundary hung."""
        begun = re.findall(rf"{re.escape(boundary)} out (\S+)", self.out.decode(errors="replace")) if boundary else []
        hung = f"its command for `{begun[-1]}`" if begun else "a command over SSH"
        return f"{machine}: {hung} did not end within {self.within_s:.0f} s: see what it waits for, then verify again"


class PatientSsh(SshBackend):  # type: ignore[misc]
    """Testinfra's own, with an end: it waits for ever. `run(..., within_s=)` raises TooLong."""

    within_s: float = LOOK_S

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        self.within_s = kwargs.pop("within_s", LOOK_S)
        return super().run(command, *args, **kwargs)

    def run_local(self, command: str, *args: str) -> CommandResult:
        """No shell between: what has to end is ssh itself."""
        line = self.quote(command, *args)
        try:
            done = subprocess.run(
                shlex.split(line), stdin=subprocess.DEVNULL, capture_output=True, timeout=self.within_s
            )
        except subprocess.TimeoutExpired as late:
            raise TooLong(late.stdout or b"", self.within_s) from None
        return self.result(done.returncode, self.encode(line), done.stdout, done.stderr)
