"""Paths of other machines, whose form the desk's own `os.path` does not know."""

from __future__ import annotations


def joined(directory: str, *names: str) -> str:
    """`directory` and `names` in the form that `directory` has: backslashes where it has some."""
    return ("\\" if "\\" in directory else "/").join([directory, *names])


def parent(path: str) -> str:
    """The directory of `path`, in its own form."""
    return path.rpartition("\\" if "\\" in path else "/")[0]
