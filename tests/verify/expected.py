"""What the machines must be like, worked out from the data alone and in this suite's own way. Pure."""

from __future__ import annotations

import hashlib
import ntpath
import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .desk import ROOT, Expected

OLLAMA = "ollama_chat/"


class WantedFile(NamedTuple):
    """A file or directory that the data asks for. `access`: owner and octal mode, as `FileState` has it."""

    path: str
    access: str
    kind: str = "regular file"


def full_tag(tag: str) -> str:
    """Ollama reads `gemma3` as `gemma3:latest`."""
    return tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"


def ollama_environment(machine: Expected) -> dict[str, str]:
    """What the running server must have in its environment."""
    ollama = machine["ollama"]
    return {
        **machine.data.get("ollama_environment", {}),
        "OLLAMA_HOST": f"127.0.0.1:{ollama['port']}",
        "OLLAMA_MODELS": ollama["models"],
    }


def ollama_program(machine: Expected) -> str:
    """The server's program: inside the directory of the declared version."""
    ollama = machine["ollama"]
    join = ntpath.join if "windows" in machine.groups else posixpath.join
    return join(str(ollama["home"]), ollama["release"]["version"], ollama["program"])


class WantedService(NamedTuple):
    """A service of ours. `account`: "system", or "own" for one without rights, which owns `state` and nothing else.

    `secrets`: a file that administrators alone may read, and this service in a way of the system's own.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    state: str
    account: str
    secrets: str = ""


def services(machine: Expected) -> list[WantedService]:
    """Those that the data asks for."""
    found: list[WantedService] = []
    if "ollama" in machine:
        ollama = machine["ollama"]
        environment = {**ollama_environment(machine), "HOME": ollama["state"]}
        command = (ollama_program(machine), "serve")
        found.append(WantedService(ollama["service"], command, environment, ollama["port"], ollama["state"], "own"))
    if "gateway" in machine and not in_container(machine):
        found.append(_native_gateway(machine))
    return found


OF_DOCKER = {"features": "features", "installers": "installers", "registry_values": "settings"}


def things(machine: Expected, kind: str) -> list[Mapping[str, Any]]:
    """Those of the system's own of that kind that the data names; what Docker takes counts while it is used."""
    docker = machine.data.get("docker") if in_container(machine) else None
    named = list(machine.data.get(kind) or ())
    if not docker:
        return named
    return [*named, *docker.get(OF_DOCKER.get(kind, ""), ()), *([_starter(machine, docker)] if kind == "tasks" else [])]


def _starter(machine: Expected, docker: Mapping[str, Any]) -> dict[str, Any]:
    """The task that starts the containers: with the machine, and whenever somebody logs on and Docker with them."""
    home, name = machine["agent"]["home"], docker["starter"]
    program, order = rf"{home}\tasks\{name}\holder.pyz", rf"{machine['gateway_place']['home']}\start.json"
    return {
        "name": name,
        "command": [*machine["agent"]["python"].split(), program, "start-compose", order],
        "triggers": [{"at": "boot"}, {"at": "logon"}],
        "account": "system",
        "environment": {},
        "limit_s": 0,
        "enabled": True,
        "elevated": False,
        "catch_up": False,
        "battery": True,
    }


def in_container(machine: Expected) -> bool:
    """Whether the machine has a gateway that runs in a container."""
    return "gateway" in machine and machine["gateway"].get("runtime", "docker") == "docker"


def gateway_files(machine: Expected) -> list[str]:
    """Those of the gateway that everybody may read, below its home; what differs is what it runs in."""
    runs_in = ["compose.yaml", "app/start.py"] if in_container(machine) else ["requirements.lock", "app/native.py"]
    return ["app/config.yaml", "app/guard.py", "app/keys.py", *runs_in]


def packages(machine: Expected) -> str:
    """Where the native gateway's packages lie, "" without one: tens of thousands of files, each of a known hash and
    older than any secret. Whoever looks for something that leaked leaves them out."""
    return "" if in_container(machine) or "gateway" not in machine else str(machine["gateway_native"]["venvs"])


TAILNET = "{tailnet}"  # in a command: the machine's own tailnet address, which it alone knows


def _native_gateway(machine: Expected) -> WantedService:
    """LiteLLM as a service, in the virtual environment of this checkout's list of packages and of that Python."""
    native, gateway, home = machine["gateway_native"], machine["gateway"], machine["gateway_place"]["home"]
    join = ntpath.join if "windows" in machine.groups else posixpath.join
    python, release = native["python"]["program"], native["python"]["release"]
    if release:
        python = join(native["python"]["home"], release["version"], python)
    lock = hashlib.sha256((ROOT / "scripts" / "gateway" / "requirements.lock").read_bytes()).hexdigest()
    made = hashlib.sha256(f"{lock}\0{python}".encode()).hexdigest()[:16]
    bind = "127.0.0.1" if gateway["publish"] == "serve" else TAILNET
    options = ("-I", "-u", "-X", "utf8", join(home, "app", "native.py"), bind, str(gateway["port"]))
    return WantedService(
        name=native["service"],
        command=(join(native["venvs"], made, native["inside"]), *options),
        environment={"HOME": native["state"]},
        port=gateway["port"],
        state=native["state"],
        account="own",
        secrets=join(home, "gateway.env"),
    )


def our_ports(machines: Sequence[Expected]) -> list[int]:
    """The ports that only loopback and the tailnet may know, on whatever machine."""
    named = [each[thing]["port"] for each in machines for thing in ("gateway", "ollama") if thing in each]
    return sorted(set(named))


# ---- the gateway ----------------------------------------------------------------------------------------------------


class Deployment(NamedTuple):
    """A model group that LiteLLM must have. `parameters` are entries of its litellm_params."""

    name: str
    tier: str
    parameters: Mapping[str, Any]


class Wanted(NamedTuple):
    """The gateway's whole wiring."""

    deployments: Mapping[str, Deployment]
    fallbacks: Mapping[str, list[str]]
    left_out: Mapping[str, str]


def wiring(machine: Expected, everybody: Sequence[Expected], has_value: Callable[[str], object]) -> Wanted:
    """Lanes and routes that must be there. A lane whose key has no value is left out, and a route with no lane left."""
    lanes = [*machine["lanes"], *_peers(machine, everybody)]
    there = {each["name"]: each for each in lanes if not each["key"] or has_value(each["key"]["name"])}
    deployments = {name: Deployment(name, lane["tier"], _parameters(machine, lane)) for name, lane in there.items()}
    left_out = {each["name"]: each["key"]["name"] for each in lanes if each["name"] not in there}
    fallbacks: dict[str, list[str]] = {}
    for route in machine.data.get("routes", []):
        cascade = [name for name in _cascade(route, lanes) if name in there]
        if not cascade:
            left_out[route["name"]] = "all its lanes"
            continue
        first = deployments[cascade[0]]
        deployments[route["name"]] = Deployment(route["name"], first.tier, {**first.parameters, **route["parameters"]})
        if cascade[1:]:
            fallbacks[route["name"]] = cascade[1:]
    return Wanted(deployments, fallbacks, left_out)


def _peers(machine: Expected, everybody: Sequence[Expected]) -> list[dict[str, Any]]:
    """The other machines' gateways: each is one more local lane."""
    own = next((each for each in machine["lanes"] if each["name"] == "local"), None)
    patience = {name: own[name] for name in ("timeout_s", "stream_timeout_s")} if own else {}
    return [
        {
            "name": f"local-{each.name.lower()}",
            "model": "openai/local",
            "tier": "local",
            "api_base": f"http://{each.name}:{each['gateway']['port']}/v1",
            "key": machine["gateway"]["master_key"],
            "parameters": {},
            **patience,
        }
        for each in sorted(everybody, key=lambda each: each.name)
        if "gateway" in each and each.name != machine.name
    ]


def _cascade(route: Mapping[str, Any], lanes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The route's lanes, the peers right behind `local`."""
    peers = [each["name"] for each in lanes if each["model"] == "openai/local"]
    names: list[str] = []
    for name in route["cascade"]:
        names += [name, *peers] if name == "local" else [name]
    return list(dict.fromkeys(names))


def _parameters(machine: Expected, lane: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of litellm_params that the data decides."""
    ours = lane["model"].startswith(OLLAMA)
    found = {
        "model": lane["model"],
        "api_base": lane["api_base"] or (_ollama_from_the_gateway(machine) if ours else None),
        "api_key": f"os.environ/{lane['key']['name']}" if lane["key"] else None,
        "timeout": lane.get("timeout_s"),
        "stream_timeout": lane.get("stream_timeout_s"),
        "rpm": lane.get("requests_per_minute"),
    }
    if ours:
        sizes = {each["tag"]: each["context"] for each in machine.data.get("models", [])}
        found["num_ctx"] = lane.get("context") or sizes.get(full_tag(lane["model"].removeprefix(OLLAMA)))
    return {**{name: value for name, value in found.items() if value is not None}, **lane["parameters"]}


def _ollama_from_the_gateway(machine: Expected) -> str:
    """The engine's URL as the gateway knows it."""
    place = machine["gateway_place" if in_container(machine) else "gateway_native"]
    return str(place["ollama_url"])


def image_digest(gateway: Mapping[str, Any]) -> str:
    """`sha256:...` of the pinned image."""
    return str(gateway["image"]).rpartition("@")[2]


def image_version(gateway: Mapping[str, Any]) -> str:
    """The version in the pinned image's tag: 1.104.0 of `...:v1.104.0@sha256:...`."""
    return str(gateway["image"]).partition("@")[0].rpartition(":")[2].removeprefix("v")


def door_of(client: Expected, everybody: Sequence[Expected]) -> Expected | None:
    """The machine whose gateway a client asks, by the name in its URL."""
    host = client["brain"]["gateway_url"].partition("://")[2].partition(":")[0].partition(".")[0]
    return next((each for each in everybody if each.name == host and "gateway" in each), None)


def private_routes(machine: Expected) -> list[str]:
    """Routes that never leave the tailnet."""
    return [each["name"] for each in machine.data.get("routes", []) if each["private"]]
