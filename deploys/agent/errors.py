"""What every expected failure looks like: one sentence in three parts."""

from __future__ import annotations

import errno

ROOM = "free some disk space and converge again"


class Refused(Exception):
    """`what` could not be done, `why`, and the `fix`. Reaches the desk as {"error": {...}}, never as a traceback."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(what, why, fix)
        self.what = what
        self.why = why
        self.fix = fix

    def to_json(self) -> dict[str, str]:
        return {"what": self.what, "why": self.why, "fix": self.fix}


def is_full(error: BaseException) -> bool:
    """Whether the disk has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def fix_of(error: OSError, otherwise: str) -> str:
    return ROOM if is_full(error) else otherwise


def why_of(error: BaseException) -> str:
    """The operating system's own words for an error, without Python's numbers around them."""
    inner = getattr(error, "reason", None)  # urllib wraps
    if isinstance(inner, BaseException):
        return why_of(inner)
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    name = getattr(error, "filename", None)
    return f"{text}: {name}" if name else str(text)
