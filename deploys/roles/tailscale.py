"""Tailscale: the road to this machine. Looked after, never taken up: we are driving on it."""

from __future__ import annotations

from datetime import UTC, datetime

from pyinfra import host
from pyinfra.api import deploy

from deploys.facts import report
from deploys.facts.look import itself
from deploys.lib.versions import older
from deploys.operations.resource import Stop
from deploys.schema import Tailnet


@deploy("Tailscale")
def healthy() -> None:
    """Refuse a machine that is not on its tailnet; warn of an old version, a key that ends soon, bad health."""
    wanted: Tailnet = host.data.tailnet
    found = itself(host)["tailnet"]
    if found is None:
        raise Stop("Tailscale is not installed or does not answer: run its bootstrap script there (scripts/)")
    if found["state"] != "Running" or not found["address"]:
        raise Stop(f"Tailscale is {found['state']}, not Running: log in with `tailscale up` there")
    if older(found["version"], wanted.oldest_version):
        report.note(host, f"Tailscale {found['version']} is older than {wanted.oldest_version}: update it there")
    days = _days_until(found["key_expiry"])
    if days is not None and days < wanted.key_days_left:
        report.note(
            host, f"its Tailscale key ends in {days} days: renew it, or switch key expiry off in the admin console"
        )
    for trouble in found["health"]:
        report.note(host, f"Tailscale says: {trouble}")


def _days_until(expiry: str | None) -> int | None:
    """Whole days until an RFC 3339 time; None where a key does not expire."""
    if not expiry or expiry.startswith("0001-"):
        return None
    return (datetime.fromisoformat(expiry.replace("Z", "+00:00")) - datetime.now(UTC)).days
