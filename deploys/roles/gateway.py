"""The gateway: one OpenAI-compatible door on the tailnet, to local models first and to free cloud lanes after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyinfra import host, inventory
from pyinfra.api import deploy

from deploys.facts import report, secrets
from deploys.facts.look import itself
from deploys.lib import litellm, litellm_check
from deploys.lib.paths import joined
from deploys.operations import compose, files, resource, tailnet, task
from deploys.roles.gateway_native import native_place, native_proof, run_natively
from deploys.schema import DockerDesktop, Gateway, Secret

PROJECT = "litellm"


@deploy("Gateway")
def serve() -> None:
    """Render and check the configuration, start it, ask it for a token; sick, the last good one comes back."""
    wanted: Gateway = host.data.gateway
    native = wanted.runtime == "native"
    place = host.data.gateway_place
    gateway = wanted.at(native_place(place) if native else place)
    bind = "127.0.0.1" if gateway.publish == "serve" else itself(host)["tailnet"]["address"]
    written = _write(gateway, native_proof() if native else ("compose", PROJECT))
    url = f"http://{bind}:{gateway.port}"
    ask = {
        "url": f"{url}/v1/chat/completions",
        "model": next(lane.name for lane in host.data.lanes if lane.tier == "local"),
        "key_file": joined(gateway.home, "gateway.env"),
        "key_name": gateway.master_key.name,
        "within_s": gateway.healthy_within_s,
    }
    run = run_natively if native else _in_docker
    run(gateway, bind, written=written, answers=f"{url}/health/liveliness", ask=ask)
    if gateway.publish == "serve":
        tailnet.forward(name="Let the tailnet in", port=gateway.port, to=f"127.0.0.1:{gateway.port}")


def _in_docker(gateway: Gateway, bind: str, *, written: Sequence[str], answers: str, ask: Mapping[str, Any]) -> None:
    """What only the container needs, and the container."""
    proof, start = ("compose", PROJECT), joined(gateway.home, "app", "start.py")
    project = joined(gateway.home, "compose.yaml")
    files.config(
        name="Write compose.yaml",
        dest=project,
        text=files.rendered("gateway/compose.yaml.j2", gateway=gateway, bind_address=bind),
        proven_by=proof,
    )
    files.copied(name="Write start.py", dest=start, source="scripts/gateway/start.py", proven_by=proof)
    if other := host.data.get("gateway_native"):
        resource.made_way(name="Stop its service", kind="service", id=other.service)
    compose.up(
        name="Run it, and ask it for a token",
        project=PROJECT,
        file=project,
        image=gateway.image,
        answers=answers,
        within_s=gateway.healthy_within_s,
        restarts_with=[*written, project, start],
        ask=ask,
    )
    if desktop := host.data.get("docker"):
        order = joined(gateway.home, "start.json")
        within_s = gateway.healthy_within_s
        text = compose.start_order(
            host.data.agent, PROJECT, file=project, address=bind, answers=answers, within_s=within_s
        )
        files.config(name="Write how it starts with the machine", dest=order, text=text)
        starter = compose.starter(host.data.agent, desktop.starter, order)
        task.scheduled(name="Start it with the machine", task=starter, restarts_with=[order])


def _write(gateway: Gateway, proof: tuple[str, str]) -> list[str]:
    """The gateway's files, whatever it runs in. Gives their paths: what it must start again for."""
    lanes, routes, peers = host.data.lanes, host.data.routes, _peers(gateway)
    secrets.required(gateway.master_key, "the gateway's own key")
    named = {name: secrets.value_of(Secret(name)) for name in litellm.secret_names(gateway, lanes)}
    values = {name: value for name, value in named.items() if value}
    wiring = litellm.wire(gateway, lanes, routes, host.data.models, present=list(values), peers=peers)
    for sentence in wiring.notes:
        report.note(host, sentence)

    def valid(text: str) -> None:
        litellm_check.check_config(text, gateway, lanes, routes, present=list(values), peers=peers)

    app = joined(gateway.home, "app")
    environment = litellm.environment(gateway, wiring, values)
    paths = {"gateway.env": joined(gateway.home, "gateway.env")}
    paths |= {name: joined(app, name) for name in ("guard.py", "keys.py", "config.yaml")}

    files.directory(name="Make its directory", path=gateway.home)
    files.directory(name="Make the directory that it sees", path=app)
    files.config(
        name="Write gateway.env",
        dest=paths["gateway.env"],
        text=files.rendered("gateway/gateway.env.j2", environment=environment),
        valid=litellm_check.check_environment,
        access=_readers(gateway),
        secret=True,
        proven_by=proof,
    )
    for module in ("guard.py", "keys.py"):
        files.copied(name=f"Write {module}", dest=paths[module], source=f"scripts/gateway/{module}", proven_by=proof)
    files.config(
        name="Write config.yaml",
        dest=paths["config.yaml"],
        text=files.rendered("gateway/config.yaml.j2", gateway=gateway, wiring=wiring),
        valid=valid,
        proven_by=proof,
    )
    return [*paths.values()]


def _readers(gateway: Gateway) -> str:
    """Who may read the secrets. Docker that runs as a user opens what it gives to a container as that user."""
    desktop: DockerDesktop | None = host.data.get("docker")
    return f"read by {desktop.user}" if desktop and gateway.runtime == "docker" else "administrators"


def _peers(gateway: Gateway) -> list[litellm.Peer]:
    """The other GPU machines of the inventory: each is one more local lane, through its own gateway."""
    doors = [each.name for each in inventory if each.data.get("gateway")]
    return [litellm.Peer(name, f"http://{name}:{gateway.port}") for name in sorted(doors) if name != host.name]
