"""How the desk speaks: one line a thing, the machine first."""

from __future__ import annotations

import sys

COLOURS = {"~": "33", "!": "31", "=": "2", "·": "36"}
WIDTH = 4  # of machine names; longer ones push their own lines


def line(machine: str, sign: str, text: str) -> None:
    """`apex  ~ text`. Signs: ~ change, = as wanted, ! refused, · note, blank otherwise."""
    first, *rest = text.splitlines() or [""]
    said = f"{machine:<{WIDTH}}  {sign} {first}"
    colour = COLOURS.get(sign)
    if colour and sys.stdout.isatty():
        said = f"\033[{colour}m{said}\033[0m"
    print(said, flush=True)
    for each in rest:
        print(f"{'':<{WIDTH}}    {each}", flush=True)


def indented(text: str) -> None:
    for each in text.splitlines():
        print(f"{'':<{WIDTH}}      {each}", flush=True)


def complain(sentence: str) -> None:
    """What this command fails on, for stderr."""
    sys.stdout.flush()
    print(sentence, file=sys.stderr, flush=True)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
