"""A directory that holds one directory a version: each is whole or not there, and is taken away whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Callable, Optional

from .. import patience
from ..errors import Refused, why_of
from ..system import System

HALVES = (".new", ".broken")  # what a try that was cut leaves, behind a dot


def clear(path: str) -> None:
    shutil.rmtree(path, ignore_errors=True)


def names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def take_name(system: System, aside: str, final: str) -> None:
    """The version appears whole. A damaged one of the same name steps aside first. Raises OSError when it is in use."""
    broken = _step_aside(final, patience.UNPACKED_S) if os.path.exists(final) else ""
    system.replace(aside, final)
    if broken:
        clear(broken)


def keep_two(directory: str, version: str, mark: str, ours: Callable[[str], object]) -> None:
    """This version and the youngest other one: to go back to, and a service may run from it until its next start."""
    others = [each for each in names(directory) if each != version and ours(os.path.join(directory, each))]
    others.sort(key=lambda each: os.path.getmtime(os.path.join(directory, each, mark)))
    for each in others[:-1]:
        with contextlib.suppress(OSError):  # in use, it stays whole until the next time
            clear(_step_aside(os.path.join(directory, each)))


def remove_all(directory: str, ours: Callable[[str], object]) -> None:
    """Every version of ours. One that something runs from stays whole. Raises Refused."""
    for name in names(directory):
        path = os.path.join(directory, name)
        half = name.startswith(".") and name.endswith(HALVES)
        try:
            if half or ours(path):
                shutil.rmtree(path if half else _step_aside(path))
        except OSError as error:
            fix = "end what runs from it or has a file of it open, then converge again"
            raise Refused(f"remove {path}", why_of(error), fix) from error
    with contextlib.suppress(OSError):  # gone already, or somebody else's things are in it: they stay
        os.rmdir(directory)


def _step_aside(path: str, for_s: Optional[float] = None) -> str:
    """Give a version a name under which none is looked for. In use, it stays whole: raises OSError."""
    broken = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.broken")
    clear(broken)
    patience.patiently(lambda: os.rename(path, broken), for_s=for_s)
    return broken
