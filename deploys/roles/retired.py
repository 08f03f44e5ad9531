"""What leaves the data leaves the machine: everything an earlier converge made and nobody declares any more."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.facts.look import known
from deploys.operations import resource


@deploy("Retired")
def remove() -> None:
    """Comes last: by now every other role has declared what it wants. Users of a thing go before the thing."""
    for kind, name in resource.orphans(known(host)):
        resource.removed(name=f"Remove {kind} {name}", kind=kind, id=name)
