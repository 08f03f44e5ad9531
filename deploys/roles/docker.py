"""Docker: where it is a program of one user, installed if missing. Where it is a service, bootstrap brought it."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.operations import installer, resource, settings
from deploys.schema import DockerDesktop, Gateway


@deploy("Docker")
def ready() -> None:
    """What the data names, if a container is to run here at all. Restarts are left to `system` and to you.

    Docker itself is never taken away, and containers of others may run in it by now: so what it needs stays too.
    """
    gateway: Gateway | None = host.data.get("gateway")
    desktop: DockerDesktop | None = host.data.get("docker")
    if desktop is None:
        return
    if gateway is None or gateway.runtime != "docker":
        for feature in desktop.features:
            resource.leave(kind="feature", id=feature.name)
        return
    for feature in desktop.features:
        settings.feature(name=f"Switch on {feature.name}", feature=feature)
    for program in desktop.installers:
        installer.installed(name=f"Install {program.name}", installer=program)
    for value in desktop.settings:
        settings.registry_value(name=f"Set {value.name}", value=value)
