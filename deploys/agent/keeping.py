"""What was there before we changed a setting, so that removing ours gives the machine back what it had."""

from __future__ import annotations

from typing import Any

from .home import Home


def note_before(home: Home, kind: str, name: str, present: Any, **facts: Any) -> None:
    """Enter the resource; the first time with what is there now."""
    if home.entry(kind, name):
        home.remember(kind, name, **facts)
    else:
        home.remember(kind, name, before=present, **facts)


def before(home: Home, kind: str, name: str) -> Any:
    return home.entry(kind, name).get("before")
