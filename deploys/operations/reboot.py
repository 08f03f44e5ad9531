"""Restarts: only when the machine waits for one, only when the data allows it; the run goes on afterwards."""

from __future__ import annotations

import contextlib
import time

from pyinfra import host
from pyinfra.api.operation import OperationMeta

from deploys.facts import link, report
from deploys.facts.look import declare, look
from deploys.operations.resource import Found, Resource, wanted
from deploys.schema import Reboot

KIND, ID = "reboot", "pending"
ASK_EVERY_S = 3


def enter() -> None:
    """Have the very first look tell of it: no manifest does, so it would take a look of its own."""
    declare(host, KIND, ID, {})


def when_pending(name: str, reboot: Reboot) -> OperationMeta:
    """Have no restart pending. The desk waits until the machine is there with another boot; then the run goes on."""

    def differs(found: Found) -> str | None:
        if not found or not found["pending"]:
            return None
        why = f"a restart is pending for {', '.join(found['pending'])}"
        if reboot.allowed:
            return why
        report.note(host, f"{why}: restart it when it suits you, or allow it with `reboot` in group_data")
        return None

    def settle(answer: link.Answer) -> link.Answer:
        boot = answer["state"][KIND][ID]["boot"]
        return {"state": {KIND: {ID: _back(boot, reboot.within_s)}}}

    return wanted(name, Resource(KIND, ID, differs, dict, when_right="nothing", settle=settle))


def _back(boot: str, within_s: int) -> Found:
    """The machine after another boot than `boot`, looked at anew as a whole. Raises Unreachable when it stays away."""
    end = time.monotonic() + within_s
    report.progress(host, "restarting")
    while time.monotonic() < end:
        time.sleep(ASK_EVERY_S)
        _hang_up()
        with contextlib.suppress(link.Unreachable, link.Failed, OSError, EOFError):
            host.connect(show_errors=False)
            if host.connected:
                found = look(host).seen[KIND, ID]
                if found and found["boot"] != boot:
                    return found
    raise link.Unreachable(
        f"it did not come back within {within_s} s after a restart: see that it starts, then converge again"
    )


def _hang_up() -> None:
    """Close what is left of the connection: the machine at its other end is gone, so it may end badly."""
    client = getattr(host.connector, "client", None)  # a machine that is this one (@local) has none
    for end in (host.disconnect, client.close if client else None):
        with contextlib.suppress(OSError, EOFError):
            if end:
                end()
