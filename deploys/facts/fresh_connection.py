"""A connection of its own to a machine, beside the one that the run works over: it shows that one can still come in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError

from deploys.facts import link


@contextmanager
def fresh(host: Host) -> Iterator[Host]:
    """The same machine by the same data, reached anew: pyinfra's own connector, so every `ssh_*` value counts.

    Raises link.Unreachable.
    """
    again = Host(host.name, host.inventory, host.groups, host.connector_cls)
    again.init(host.state)
    try:
        try:
            again.connector.connect()
        except ConnectError as problem:
            raise link.Unreachable(str(problem)) from problem
        yield again
    finally:
        client = getattr(again.connector, "client", None)  # a machine that is this one (@local) has none
        if client is not None:
            client.close()
