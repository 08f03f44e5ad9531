"""The gateway: the pinned LiteLLM, behind its key, on the tailnet, with the declared lanes and routes in its memory."""

from __future__ import annotations

from typing import Any

from . import parse
from .each import deployments, each, gateway_containers, where, wiring
from .expected import Deployment, image_digest, image_version
from .machine import Container, Machine
from .saying import fail, must, must_be, shown, unless


def container_of(machine: Machine) -> Container:
    home, why = machine.expected["gateway_place"]["home"], machine.why("containers")
    sentence = f"{machine.name}: the gateway has no container (none mounts a directory of {home}), wanted one that runs"
    return machine.container or fail(f"{sentence} ({why})" if why else sentence)


@each("gateway", gateway_containers)
def test_container_runs_the_pinned_image(machine: Machine, gateway: dict[str, Any]) -> None:
    container = container_of(machine)
    must(container.running, f"{machine.name}: the gateway's container is stopped, wanted running")
    must_be(machine.name, "the image of the gateway's container", container.image, gateway["image"])
    digests = [each.rpartition("@")[2] for each in container.digests]
    must(
        image_digest(gateway) in digests,
        f"{machine.name}: the image that the gateway really runs is {shown(digests)}, wanted {image_digest(gateway)}",
    )


@where("gateway")
def test_server_is_litellm_at_the_pinned_version(machine: Machine, gateway: dict[str, Any]) -> None:
    reply = machine.gateway["details"]
    must(reply.status == 200, f"{machine.name}: the gateway's readiness gives {reply}, wanted its version")
    must_be(machine.name, "LiteLLM's version", reply.at("litellm_version"), image_version(gateway))


@where("gateway")
def test_gateway_is_healthy(machine: Machine, gateway: dict[str, Any]) -> None:
    reply = machine.gateway["health"]
    must(reply.status == 200, f"{machine.name}: the gateway's health gives {reply}, wanted status 200")


@where("gateway")
def test_loaded_models_are_the_declared_ones(machine: Machine, gateway: dict[str, Any]) -> None:
    for what, path in (("models", "/v1/models"), ("info", "/model/info")):
        reply = machine.gateway[what]
        told = reply.status == 200 and reply.rows("data") is not None
        must(told, f"{machine.name}: the gateway's {path} gives {reply}, wanted the declared names")
    found = {each.get("id") for each in machine.gateway["models"].rows("data") or []}
    wanted = set(wiring(machine.expected).deployments)
    must_be(machine.name, "models missing in the running gateway", wanted - found, set())
    must_be(machine.name, "undeclared models in the running gateway", found - wanted, set())


@each("deployment", deployments)
def test_loaded_deployment_is_the_declared_one(machine: Machine, deployment: Deployment) -> None:
    """What the running gateway has in its memory, whatever its file says by now."""
    reply = machine.gateway["info"]
    why = f"{machine.name}: the gateway does not tell its models: test_loaded_models_are_the_declared_ones says so"
    rows = reply.rows("data")
    unless(reply.status == 200 and rows is not None, why)
    loaded = {each.get("model_name"): each.get("litellm_params") or {} for each in rows or []}
    must(deployment.name in loaded, f"{machine.name}: the running gateway has no {deployment.name}, wanted it loaded")
    for name in ("model", "api_base", "num_ctx"):
        if name in deployment.parameters:
            found = loaded[deployment.name].get(name)
            thing = f"{name} of {deployment.name} in the running gateway"
            must_be(machine.name, thing, found, deployment.parameters[name])


@where("gateway")
def test_gateway_listens_where_it_should(machine: Machine, gateway: dict[str, Any]) -> None:
    serves = gateway["publish"] == "serve"
    place = "loopback and the tailnet" if serves else "the tailnet address"
    mine = [each for each in machine.listeners if each.port == gateway["port"]]
    must(mine, f"{machine.name}: nothing listens on port {gateway['port']}, wanted the gateway on {place}")
    beyond = [
        str(each)
        for each in mine
        if not parse.is_tailnet(each.address) and not (serves and parse.is_loopback(each.address))
    ]
    must(not beyond, f"{machine.name}: {shown(beyond)}, wanted port {gateway['port']} on {place} only")


@where("gateway")
def test_nobody_gets_in_without_the_key(machine: Machine, gateway: dict[str, Any]) -> None:
    asked = {"no-key-models": "without a key", "no-key-chat": "without a key", "wrong-key": "with a wrong key"}
    for what, how in asked.items():
        reply = machine.gateway[what]
        must(reply.status == 401, f"{machine.name}: asked {how} the gateway gives {reply}, wanted status 401")
