"""The `brain` command: one person's question to the gateway, or to this machine's own model when the road is cut."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.facts import secrets
from deploys.lib.paths import parent
from deploys.operations import files
from deploys.schema import Brain


@deploy("Brain")
def install() -> None:
    """The program for everybody, the settings with the key for one person only."""
    brain: Brain = host.data.brain
    files.copied(name="Install the program", dest=brain.program, source="scripts/brain", access="everyone +x")
    files.directory(name="Make its settings' directory", path=parent(brain.settings), access=f"only {brain.user}")
    files.config(
        name="Write its settings",
        dest=brain.settings,
        text=files.rendered(
            "brain/settings.j2",
            gateway_url=brain.gateway_url,
            key=secrets.required(brain.key, "the key of the brain command"),
            route=brain.route,
            local_url=brain.local_url,
            local_model=brain.local_model or "",
            connect_timeout_s=brain.connect_timeout_s,
        ),
        access=f"only {brain.user}",
        secret=True,
    )
