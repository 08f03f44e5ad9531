"""Entries of a PATH: one is added or taken away, everything else stays as it was, letter by letter."""

from __future__ import annotations

from typing import Callable

Expand = Callable[[str], str]


def _plain(entry: str, expand: Expand) -> str:
    """What makes two entries the same folder: expanded, no quotes, no last backslash, no case."""
    return expand(entry.strip().strip('"')).rstrip("\\/").replace("/", "\\").lower()


def holds(path: str, entry: str, expand: Expand) -> bool:
    wanted = _plain(entry, expand)
    return any(_plain(each, expand) == wanted for each in path.split(";") if each.strip())


def with_entry(path: str, entry: str, expand: Expand) -> str:
    """The entry at the end, unless it is there."""
    if holds(path, entry, expand):
        return path
    return f"{path}{'' if not path or path.endswith(';') else ';'}{entry}"


def without_entry(path: str, entry: str, expand: Expand) -> str:
    """Every spelling of the entry gone."""
    wanted = _plain(entry, expand)
    return ";".join(each for each in path.split(";") if not each.strip() or _plain(each, expand) != wanted)
