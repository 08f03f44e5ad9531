"""Other programs of the machine: started without a shell, with pipes of their own, never talking into our answer."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Mapping, NamedTuple, Optional, Sequence

NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # a word that only Windows has

NOTHING: Mapping[str, str] = {}

# Where Windows' installers put what we ask for: a session's PATH may be older than they are. (variable, folder in it)
INSTALLED = (("SYSTEMROOT", "System32"), ("PROGRAMFILES", "Tailscale"))


def find(name: str) -> Optional[str]:
    """A program's path, or None where there is none."""
    places = [os.path.join(os.environ[where], folder) for where, folder in INSTALLED if where in os.environ]
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath)]))


class Done(NamedTuple):
    """How a program ended: its exit code and what it said, as text."""

    code: int
    out: str
    err: str

    def why(self) -> str:
        """Its last words, as a reason."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


def run(arguments: Sequence[str], timeout_s: float = 300, environment: Mapping[str, str] = NOTHING) -> Done:
    """Run to its end, with `environment` on top of ours.

    Raises OSError when there is no such program; after `timeout_s` it is killed: code 124.
    """
    try:
        done = subprocess.run(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            env={**os.environ, **environment},
            creationflags=NO_WINDOW,
        )
    except subprocess.TimeoutExpired:
        return Done(124, "", f"{arguments[0]} did not end within {timeout_s:g} s")
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
