"""What Tailscale forwards from the tailnet to this machine's loopback."""

from __future__ import annotations

from pyinfra.api.operation import OperationMeta

from deploys.operations.guarded import guard
from deploys.operations.resource import Found, Resource, wanted


def forward(name: str, port: int, *, to: str) -> OperationMeta:
    """Have the machine's tailnet address answer on `port` with what listens at `to` ("127.0.0.1:4000").

    Guarded: the tailnet is the road that we are on, and a forward can take a port from who listens there.
    """

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing"
        return None if found["target"] == to else f"leads to {found['target']}"

    return wanted(name, Resource("serve", str(port), differs, lambda: {"target": to}, guard=guard()))
