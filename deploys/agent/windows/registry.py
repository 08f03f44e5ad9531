"""Reading the registry while others write it."""

from __future__ import annotations

from typing import Any, Callable, Optional

from . import win32

NO_MORE = 259  # there were fewer than Windows had just counted


def values(key: str) -> Optional[dict[str, tuple[int, Any]]]:
    """See `win32.values`."""
    found: Optional[dict[str, tuple[int, Any]]] = _twice(lambda: win32.values(key))
    return found


def subkeys(key: str) -> list[str]:
    """Their names; none without that key."""
    found: list[str] = _twice(lambda: win32.subkeys(key))
    return found


def _twice(read: Callable[[], Any]) -> Any:
    """Once more when something went from it meanwhile."""
    try:
        return read()
    except OSError as error:
        if getattr(error, "winerror", None) != NO_MORE:
            raise
    return read()
