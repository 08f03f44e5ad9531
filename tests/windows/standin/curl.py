"""curl.exe: one download from loopback. What it says is English in every language."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .processes import Process


def curl(process: Process) -> int:
    """`curl -fsSL ... -o FILE URL`: 22 for an error of HTTP, 7 without a way there; FILE then stays as it was."""
    words = process.arguments
    try:
        with urllib.request.urlopen(words[-1], timeout=10) as reply:
            content = reply.read()
    except urllib.error.HTTPError as problem:
        process.say(f"curl: (22) The requested URL returned error: {problem.code}\r\n", error=True)
        return 22
    except OSError:
        process.say("curl: (7) Failed to connect to server\r\n", error=True)
        return 7
    process.machine.drive.write(words[words.index("-o") + 1], content)
    return 0
