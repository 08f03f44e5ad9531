"""Whose name is whose SID."""

from __future__ import annotations

from . import win32

DOMAIN = 3


def sid_of(name: str) -> str:
    """The SID of an account's name. Raises OSError 1332 when there is none."""
    sid, kind = win32.account(name)
    if kind == DOMAIN:  # the machine itself has that name, and is found first: what is meant is its user
        sid, _ = win32.account(f"{name}\\{name}")
    return str(sid)
