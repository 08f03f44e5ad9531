"""One run at a time on this desk. The lock dies with whoever holds it, so a stale one needs no healing hand."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from scripts.desk.desk import Desk, Trouble

NAME = "desk.lock"


@contextmanager
def held(desk: Desk, doing: str) -> Iterator[int]:
    """Hold it. Gives its descriptor, for the programs that must hold it too. Raises Trouble naming the holder."""
    path = desk.state / NAME
    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(_holder(os.pread(number, 4096, 0))) from None
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        note = json.dumps({"pid": os.getpid(), "who": getpass.getuser(), "since": now, "doing": doing})
        os.ftruncate(number, 0)
        os.pwrite(number, note.encode(), 0)
        yield number
        os.ftruncate(number, 0)
    finally:
        os.close(number)


def _holder(note: bytes) -> str:
    try:
        told = json.loads(note)
        who = f"{told['who']} runs `{told['doing']}` since {told['since']} (process {told['pid']})"
    except (ValueError, KeyError):  # it is just about to write its name
        who = "somebody has just started one"
    return f"one run at a time: {who}; wait for its end, then try again"
