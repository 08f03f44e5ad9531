"""What a run has to say beyond pyinfra's own output: changes with their reasons, refusals, notes.

`pyinfra` alone prints them; the desk commands set DESK_REPORT to a file of their own and read it (one JSON a line).
Texts are masked: no value of the secrets file, and nothing that a secret file holds, is ever reported.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
from pyinfra import logger
from pyinfra.api import Host

from deploys.facts import secrets

MASK = "••••"


def masked(text: str) -> str:
    for value in secrets.everything_known():
        text = text.replace(value, MASK)
    return text


def _enter(host: Host, **entry: Any) -> bool:
    """Into the desk's file, if there is one."""
    path = os.environ.get("DESK_REPORT")
    if not path:
        return False
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"machine": host.name, **entry}) + "\n")
    return True


def planned(host: Host, kind: str, name: str, why: str, difference: str = "") -> None:
    """A change that converge would make. `difference`: a masked before/after."""
    if not _enter(host, event="planned", kind=kind, id=name, why=masked(why), difference=masked(difference)):
        logger.info(f"{host.print_prefix}{kind} {name}: {masked(why)}")
        if difference:
            click.echo(masked(difference), err=True)


def changed(host: Host, kind: str, name: str, why: str) -> None:
    """A change that was made, whole."""
    _enter(host, event="changed", kind=kind, id=name, why=masked(why))


def refused(host: Host, sentence: str) -> None:
    """Why nothing more happens on this machine."""
    sentence = masked(sentence)
    logger.error(f"{host.print_prefix}{click.style(sentence, 'red')}")
    _enter(host, event="refused", sentence=sentence)


_noted: set[tuple[str, str]] = set()


def note(host: Host, sentence: str) -> None:
    """Something worth knowing that changes nothing. Said once."""
    if (host.name, sentence) in _noted:
        return
    _noted.add((host.name, sentence))
    if not _enter(host, event="note", sentence=masked(sentence)):
        logger.info(f"{host.print_prefix}{masked(sentence)}")


def progress(host: Host, text: str) -> None:
    """One line of a long work's progress, for whoever watches."""
    click.echo(f"    {host.print_prefix}{masked(text)}", err=True)
