"""Tailscale: what it says of itself, and what it forwards. Nothing here takes the tailnet down: it is the way in."""

from __future__ import annotations

import json
from typing import Optional

from ..errors import Refused
from ..home import Home
from ..programs import Done, find, run
from ..system import Progress, State, System


def _tailscale(*arguments: str) -> Done:
    program = find("tailscale")
    if not program:
        raise Refused("ask Tailscale", "it is not installed", "run its bootstrap script there (scripts/)")
    return run([program, *arguments], timeout_s=30)


def look() -> Optional[State]:
    """{"version", "state", "address", "name", "key_expiry", "health": [...]}, or None where it is not installed."""
    try:
        said = json.loads(_tailscale("status", "--json", "--peers=false").out)
    except (Refused, ValueError):
        return None
    me = said.get("Self") or {}
    addresses = [each for each in me.get("TailscaleIPs") or [] if ":" not in each]
    return {
        "version": said.get("Version", "").split("-")[0],
        "state": said.get("BackendState"),
        "address": addresses[0] if addresses else None,
        "name": (me.get("DNSName") or "").rstrip("."),
        "key_expiry": me.get("KeyExpiry"),
        "health": said.get("Health") or [],
    }


class Serve:
    """Kind `serve`. Identity: the port on the tailnet. State: {"target": "127.0.0.1:4000"} or None."""

    def __init__(self, system: System, home: Home) -> None:
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        if not asked:
            return {}
        try:
            forwards = json.loads(_tailscale("serve", "status", "--json").out or "{}").get("TCP") or {}
        except ValueError:
            forwards = {}
        found: dict[str, Optional[State]] = {}
        for port in asked:
            target = forwards.get(port, {}).get("TCPForward")
            found[port] = {"target": target} if target else None
        return found

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id (the port), target ("127.0.0.1:4000")."""
        port = request["id"]
        self.home.remember("serve", port)
        done = _tailscale("serve", "--bg", f"--tcp={port}", f"tcp://{request['target']}")
        if done.code:
            raise Refused(
                f"have Tailscale forward port {port}", done.why(), "see `tailscale serve status` on the machine"
            )
        return {"serve": self.look({port: {}})}

    def remove(self, request: State, progress: Progress) -> State:
        port = request["id"]
        if self.look({port: {}})[port]:
            _tailscale("serve", f"--tcp={port}", "off")
        self.home.forget("serve", port)
        return {"serve": {port: None}}
