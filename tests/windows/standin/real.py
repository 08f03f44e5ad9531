"""Real programs of the computer below, started for a stand-in process: its paths, its streams, its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .processes import Ended, Process

if TYPE_CHECKING:
    from .machine import Machine

SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WINDOWS_PATH = re.compile(r"(?<![A-Za-z])[A-Za-z]:[\\/][^:*?\"<>|;,]*")
POLL_S = 0.05
Filter = Callable[[bytes], bytes]


def below(machine: Machine, text: str) -> str:
    """`text` with every `C:\\path` in it as the folder's own."""
    return WINDOWS_PATH.sub(lambda found: str(machine.drive.real(found[0].rstrip("\\/"))), text)


def run(
    process: Process,
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    *,
    folder: Path | None = None,
    says: Filter = bytes,
    child_name: str = "",
    both_to_err: bool = False,
) -> int:
    """Run a real program as this process until either ends. `child_name`: what its own children are called here;
    without it they end with it. `says` may change what it says, line by line or block by block."""
    given = subprocess.PIPE if process.has_input else subprocess.DEVNULL
    started = subprocess.Popen(
        [str(each) for each in command],
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": SEARCHED, "HOME": "/root", "LANG": "C.UTF-8", **(environment or {})},
        cwd=folder,
        start_new_session=True,
    )
    process.machine.real_pids[started.pid] = process.pid
    pumps = [_pump(process, started.stdout, both_to_err, says), _pump(process, started.stderr, True, says)]
    if started.stdin:
        threading.Thread(target=_feed, args=(process, started.stdin), daemon=True).start()
    mirrored: set[int] = set()
    try:
        while started.poll() is None:
            if process.ended.wait(POLL_S):
                raise Ended
            if child_name:
                _mirror(process, started.pid, child_name, mirrored)
    except Ended:
        _end(started.pid, whole_group=not child_name)
        started.wait()
        raise
    finally:
        process.machine.real_pids.pop(started.pid, None)
    for each in pumps:
        each.join(5)
    return started.returncode if started.returncode >= 0 else 1


def _pump(process: Process, stream: IO[bytes] | None, error: bool, says: Filter) -> threading.Thread:
    def work() -> None:
        assert stream is not None
        with stream:
            for block in iter(lambda: os.read(stream.fileno(), 1 << 16), b""):
                process.say(says(block), error=error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _feed(process: Process, stream: IO[bytes]) -> None:
    with contextlib.suppress(OSError), stream:
        for block in iter(lambda: process.input().take(1 << 15), b""):
            stream.write(block)
            stream.flush()


def _mirror(process: Process, pid: int, name: str, known: set[int]) -> None:
    """Each real child is a process here too, in the jobs of its parent; it ends with one of the two."""
    with contextlib.suppress(OSError):
        children = [each.read_text(encoding="ascii") for each in Path(f"/proc/{pid}/task").glob("*/children")]
        for each in map(int, " ".join(children).split()):
            if each not in known:
                known.add(each)
                image = f"{process.image.rpartition(chr(92))[0]}\\lib\\ollama\\{name}"
                more = {"arguments": [], "environment": process.environment, "session": process.session}
                child = process.machine.processes.add(image, process.pid, process.sids, **more)
                process.machine.real_pids[each] = child.pid
                threading.Thread(target=_follow, args=(child, each), daemon=True).start()


def _follow(child: Process, pid: int) -> None:
    while Path(f"/proc/{pid}").exists() and not _is_zombie(pid):
        if child.ended.wait(POLL_S):
            _end(pid, whole_group=False)
            break
    child.machine.real_pids.pop(pid, None)
    child.machine.processes.end(child, 0)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _end(pid: int, whole_group: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL) if whole_group else os.kill(pid, signal.SIGKILL)


def ask(
    command: Sequence[str | Path], within_s: float = 60, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """A real program's exit code and words, for the stand-in's own use."""
    try:
        done = subprocess.run(
            [str(each) for each in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=within_s,
            env={"PATH": SEARCHED, "HOME": "/root", **(environment or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return 127, str(problem)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


def until(true: Callable[[], object], within_s: float) -> bool:
    end = time.monotonic() + within_s
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
