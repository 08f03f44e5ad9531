"""A job's last words: how it ended, told even where there is no room left to write it down.

The room for them is taken while there is some. It holds no blanks: a file system that packs them keeps none.
"""

from __future__ import annotations

import contextlib
import json
import os
from typing import Optional

from .errors import Refused
from .home import Home
from .patience import clear_away

ROOM_BYTES = 8192
PART_SIGNS = 400  # of each part of the sentence: six bytes a sign at most, and all three fit


class LastWords:
    """Of one job."""

    def __init__(self, home: Home, job: str) -> None:
        self.home = home
        self.name = f"jobs/{job}.end"

    def keep_room(self) -> None:
        """Take it, and forget what an earlier run said. Raises Refused when there is none."""
        self.home.write(self.name, os.urandom(ROOM_BYTES // 2 - 1).hex())  # and two quotes around it

    def say(self, refused: Refused) -> None:
        """Into the room that is there: it takes no more of the disk."""
        parts = {name: text[:PART_SIGNS] for name, text in refused.to_json().items()}
        content = json.dumps(parts).encode().ljust(ROOM_BYTES)
        with contextlib.suppress(OSError), open(self.home.path(self.name), "r+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def heard(self) -> Optional[Refused]:
        """What the job said when it could not write down its end."""
        found = self.home.read(self.name)
        return Refused(**found) if isinstance(found, dict) else None

    def give_back(self) -> None:
        """The room: it is not needed any more."""
        clear_away(self.home.path(self.name))
