"""A process that holds another: in a job object of its own, so that the whole tree ends when one of them is told to.

The Task Scheduler starts it. It is needed because a task has no environment, no log and no restart after a crash,
and because ending a task leaves the children of its program alive. The job ends with the last handle to it, which is
this process's: whatever ends this process, ends everything below.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from typing import IO

from ..programs import LAST_WORDS_S, pump
from ..system import State
from . import win32

LOG_BYTES = 10 << 20
TAIL_BYTES = 1 << 16
ALREADY_HELD = 183


def hold(path: str) -> int:
    """`path`: {"job", "command", "environment", "log", "began", "again", "pause_s"}. Ends with the command or goes on.

    `began`: a file that says we did, for whoever waits, and how often the command has ended since. `again`: start
    the command again after an end.
    """
    with open(path, encoding="utf-8") as file:
        spec: State = json.load(file)
    try:
        win32.enter_job(spec["job"])
    except OSError:
        return ALREADY_HELD  # another holds it: one is enough
    with open(spec["began"], "wb"):
        pass
    count = 0
    while True:
        code = _once(spec)
        if not spec["again"]:
            return code
        count += 1
        with contextlib.suppress(OSError), open(spec["began"], "w", encoding="ascii") as file:  # as with its log
            file.write(str(count))
        time.sleep(spec["pause_s"])


def _once(spec: State) -> int:
    """Run the command to its end, and what it started with it. Its words go to the log, which steps aside when long."""
    log = _Log(spec["log"])
    try:
        started = subprocess.Popen(
            spec["command"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **spec["environment"]},
        )
    except OSError as error:
        log.write(f"{spec['command'][0]} cannot be started: {error}\n".encode())
        return 1
    words = threading.Thread(target=pump, args=(started.stdout, log.write), daemon=True)
    words.start()
    code = started.wait()  # not for the end of its words: whom it leaves behind may hold them open
    _end_others(spec["job"])
    words.join(LAST_WORDS_S)
    log.write(f"{os.path.basename(spec['command'][0])} ended with {code}\n".encode() if spec["again"] else b"")
    return code


def _end_others(job: str) -> None:
    """Whoever outlives the command would keep its port, and its memory on the card, from the next one."""
    end = time.monotonic() + LAST_WORDS_S
    while time.monotonic() < end:
        others = [each for each in win32.job_processes(job) if each != os.getpid()]
        if not others:
            return
        for each in others:
            with contextlib.suppress(OSError):  # it ends by itself just now
                win32.terminate(each)
        time.sleep(0.05)


class _Log:
    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, data: bytes) -> None:
        """Opened for each piece: nobody else is kept from reading or moving it."""
        try:
            if os.path.exists(self.path) and os.path.getsize(self.path) > LOG_BYTES:
                os.replace(self.path, self.path + ".old")
            with open(self.path, "ab") as file:
                file.write(data)
        except OSError:  # a full disk, or somebody has it open: the service matters more than its log
            return


def tail(log: IO[bytes], lines: int) -> str:
    """The last lines of an open log."""
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - TAIL_BYTES))
    return "\n".join(log.read().decode("utf-8", "replace").splitlines()[-lines:])
