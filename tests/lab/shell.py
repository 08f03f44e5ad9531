"""Commands of this computer, and the one kind of error that a person sees."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from subprocess import PIPE

_children: set[subprocess.Popen[bytes]] = set()
_stopped = threading.Event()


class Trouble(Exception):
    """What stands in the way, and the fix, in one sentence."""


def run(
    command: Sequence[str | Path],
    *,
    stdin: str | bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float = 900,
    trouble: str = "",
) -> str:
    """Run `command` and return what it printed. `env` is added to this process' own.

    Raises Trouble with `trouble` (default: the command's name) and the last lines of what it complained.
    """
    words = [str(word) for word in command]
    what = trouble or f"{' '.join(words[:3])} failed"
    if _stopped.is_set():
        raise Trouble(f"{words[0]} was not started: another part has failed")
    try:
        child = subprocess.Popen(
            words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={**os.environ, **(env or {})}, cwd=cwd, process_group=0
        )
    except FileNotFoundError:
        raise Trouble(f"{words[0]} is not on this computer: install it") from None
    _children.add(child)
    try:
        out, complaint = child.communicate(stdin.encode() if isinstance(stdin, str) else stdin, timeout_s)
    except subprocess.TimeoutExpired:
        _stop(child)
        raise Trouble(f"{what}: no end after {timeout_s:.0f} s") from None
    finally:
        _children.discard(child)
    if child.returncode:
        raise Trouble(f"{what}: {last_words(complaint or out)}")
    return out.decode(errors="replace")


def stop_children() -> None:
    """End whatever still runs, with all that it started, and start no more: one part failed, so the rest is in vain."""
    _stopped.set()
    for child in list(_children):
        _stop(child)


def _stop(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)


def succeeds(command: Sequence[str | Path], timeout_s: float = 60) -> bool:
    """Whether `command` exits 0. Its output is nobody's concern."""
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, timeout=timeout_s)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def last_words(output: bytes, lines: int = 3) -> str:
    """The end of a complaint, on one line."""
    said = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return " | ".join(said[-lines:]) or "it said nothing"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, from its first byte on, and replace the old one whole."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)
    beside.replace(path)
