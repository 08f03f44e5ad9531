"""The frame around a machine's roles: what must be true before any of them, and what keeps its trouble its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gevent import GreenletExit
from pyinfra import host, state

from deploys.facts import link, report
from deploys.facts.look import itself, known
from deploys.operations import reboot
from deploys.operations.resource import Stop
from deploys.schema import Needs, Nonsense
from deploys.schema.whole import check_machine

OLDEST_PYTHON = (3, 9)


@contextmanager
def converging() -> Iterator[None]:
    """Check the data, look at the machine, then let its roles speak.

    Whatever goes wrong ends this machine alone, with one sentence and nothing changed; the others go on.
    """
    entered = False
    try:
        check_machine(host.name, host.data.dict())
        _preflight()
        entered = True
        yield
    except (Stop, Nonsense, link.Unreachable, link.Failed) as problem:
        sentence = str(problem)
        report.refused(host, sentence if sentence.startswith(host.name) else f"{host.name}: {sentence}")
        state.fail_hosts({host})
    except Exception as problem:
        report.refused(
            host, f"{host.name}: {type(problem).__name__}: {problem} (a bug in this repository: please report it)"
        )
        state.fail_hosts({host})
    if not entered:  # its roles stay unsaid: pyinfra reads the deploy in one greenlet per machine, and this one is done
        raise GreenletExit


def _preflight() -> None:
    """Agent, Python and the programs that only bootstrap installs."""
    needs: Needs = host.data.get("needs") or Needs()
    known(host).programs.update(needs.programs)
    if host.data.get("reboot"):
        reboot.enter()
    here = itself(host)
    python = tuple(int(each) for each in here["python"].split(".")[:2])
    if python < OLDEST_PYTHON:
        raise Stop(f"Python there is {here['python']}: install 3.9 or newer")
    for program, fix in needs.programs.items():
        if not here["programs"][program]:
            raise Stop(f"there is no {program} on it: {fix}")
