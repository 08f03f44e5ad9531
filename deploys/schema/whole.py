"""What only the sum of a machine's data shows to be nonsense, of whatever classes it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploys.schema.base import Nonsense, right_classes
from deploys.schema.docker import DockerDesktop
from deploys.schema.gateway import Gateway, GatewayNative, GatewayPlace, Lane, Route, check_routes
from deploys.schema.machine import Agent, Brain, Gpu, Model, Needs, Ollama, Ssh, Tailnet
from deploys.schema.places import check_places
from deploys.schema.system import (
    Feature,
    FirewallRule,
    Installer,
    PathEntry,
    Power,
    Reboot,
    RegistryValue,
    ScheduledTask,
    SystemService,
    Variable,
)


def check_machine(name: str, data: Mapping[str, Any]) -> None:
    """Refuse what only the sum of a machine's data shows: routes without lanes, ports taken twice, too big models.

    `data` is what pyinfra hands to the deploy of machine `name`. Raises Nonsense.
    """
    right_classes(name, data, one=CLASSES, several=LISTS)
    gateway: Gateway | None = data.get("gateway")
    ollama: Ollama | None = data.get("ollama")
    models: Sequence[Model] = data.get("models", ())
    lanes: Sequence[Lane] = data.get("lanes", ())
    routes: Sequence[Route] = data.get("routes", ())
    if "OLLAMA_HOST" in data.get("ollama_environment", {}):
        raise Nonsense(f"{name}: ollama_environment must not set OLLAMA_HOST: Ollama stays on loopback")
    _once(name, "models", [each.tag for each in models])
    _once(name, "lanes and routes", [*(lane.name for lane in lanes), *(route.name for route in routes)])
    desktop: DockerDesktop | None = data.get("docker")
    docker = {"features": desktop.features, "installers": desktop.installers} if desktop else {}
    for each in OF_THE_SYSTEM:
        _once(name, each, [_id_of(one) for one in (*data.get(each, ()), *docker.get(each, ()))])
    if gateway and ollama and gateway.port == ollama.port:
        raise Nonsense(f"{name}: gateway and ollama both want port {gateway.port}: change one of them")
    _check_engine_is_shut(name, ollama, data.get("firewall_rules", ()))
    _check_way_in(name, data.get("ssh"), data.get("system_services", ()))
    _check_docker_user(name, desktop, gateway, data.get("ssh_user"))
    _check_gpu(name, data.get("gpu"), models)
    check_routes(name, lanes, routes)
    check_places(name, data)


CLASSES: Mapping[str, type] = {
    "agent": Agent,
    "brain": Brain,
    "docker": DockerDesktop,
    "gateway": Gateway,
    "gateway_native": GatewayNative,
    "gateway_place": GatewayPlace,
    "gpu": Gpu,
    "needs": Needs,
    "ollama": Ollama,
    "reboot": Reboot,
    "ssh": Ssh,
    "tailnet": Tailnet,
}
OF_THE_SYSTEM: Mapping[str, type] = {
    "variables": Variable,
    "path_entries": PathEntry,
    "registry_values": RegistryValue,
    "features": Feature,
    "firewall_rules": FirewallRule,
    "system_services": SystemService,
    "installers": Installer,
    "tasks": ScheduledTask,
    "power": Power,
}
LISTS: Mapping[str, type] = {"models": Model, "lanes": Lane, "routes": Route, **OF_THE_SYSTEM}


def _once(machine: str, what: str, names: Sequence[str]) -> None:
    twice = sorted({each for each in names if list(names).count(each) > 1})
    if twice:
        raise Nonsense(f"{machine}: {what} name {', '.join(twice)} twice: keep one")


def _check_gpu(machine: str, gpu: Gpu | None, models: Sequence[Model]) -> None:
    if gpu is None:
        return
    room = gpu.vram_gb - gpu.reserved_gb
    for each in models:
        if each.vram_gb > room:
            raise Nonsense(
                f"{machine}: {each.tag} takes {each.vram_gb:g} GB of VRAM and the card has {room:g} GB "
                f"({gpu.vram_gb:g} less {gpu.reserved_gb:g} reserved): choose a smaller model or context"
            )
    held = [each for each in models if each.resident]
    total = sum(each.vram_gb for each in held)
    if total > room:
        names = " + ".join(f"{each.tag} {each.vram_gb:g}" for each in held)
        raise Nonsense(f"{machine}: resident models take {total:g} GB ({names}) of {room:g} GB: make one not resident")


def _id_of(each: Any) -> str:
    """What tells it from others of its class on one machine, whatever the case of its letters."""
    return str(each.id if isinstance(each, (Variable, PathEntry)) else each.name).lower()


def _check_engine_is_shut(machine: str, ollama: Ollama | None, rules: Sequence[FirewallRule]) -> None:
    """No rule may let anybody in to the engine: it has no authentication."""
    for rule in rules:
        opens = rule.action == "allow" and rule.direction == "in" and rule.enabled
        if ollama and opens and ollama.port in rule.ports:
            raise Nonsense(
                f"{machine}: firewall rule {rule.name!r} opens port {ollama.port}: Ollama stays on loopback, "
                "the gateway is its door"
            )


def _check_way_in(machine: str, ssh: Ssh | None, services: Sequence[SystemService]) -> None:
    """Nobody could come back and undo it."""
    ways = {"tailscale", ssh.service.lower() if ssh else ""}
    for each in services:
        if each.name.lower() in ways and (not each.running or each.start in ("manual", "disabled")):
            raise Nonsense(
                f"{machine}: system_services lets {each.name} stop, or not start with the machine: it is the way in"
            )


def _check_docker_user(
    machine: str, desktop: DockerDesktop | None, gateway: Gateway | None, comes_as: str | None
) -> None:
    """What starts at a logon is written for the user whom the desk comes as, and for nobody else."""
    if not (desktop and desktop.settings and comes_as and gateway and gateway.runtime == "docker"):
        return
    if _bare_name(desktop.user) != _bare_name(comes_as):
        raise Nonsense(
            f"{machine}: docker.user is {desktop.user} and the desk comes as {comes_as}: name the same user in "
            "inventory.py (ssh_user) and in docker, else Docker starts at nobody's logon"
        )


def _bare_name(user: str) -> str:
    """Without the domain or computer before it, in one case: Windows tells users apart by no more."""
    return user.rpartition("\\")[2].lower()
