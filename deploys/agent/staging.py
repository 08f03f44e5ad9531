"""Requests too large for stdin: the desk brings them by SFTP into our home, and names them by their sha256."""

from __future__ import annotations

import hashlib
import os
import re
import time

from .errors import Refused
from .patience import clear_away, patiently

NAME = re.compile(r"[0-9a-f]{64}")
LEFT_OVER_S = 3600  # what a cut link left there; another desk may be bringing one just now


def taken(home: str, name: str) -> bytes:
    """The request of that name, which is gone from the disk then: it may hold a secret."""
    folder = os.path.join(home, "staged")
    path = os.path.join(folder, name)
    if not NAME.fullmatch(name) or not os.path.isfile(path):
        raise Refused("read the request", "it is not where it was brought", "converge again")
    content = patiently(lambda: _read(path))
    clear_away(path)
    for other in os.listdir(folder):
        left = os.path.join(folder, other)
        if os.path.exists(left) and time.time() - os.path.getmtime(left) > LEFT_OVER_S:
            clear_away(left)
    if hashlib.sha256(content).hexdigest() != name:
        raise Refused("read the request", "it did not arrive whole", "converge again")
    return content


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
