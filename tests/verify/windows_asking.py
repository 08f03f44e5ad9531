"""What verify asks of a Windows machine: commands and requests, worked out from the data alone. Pure."""

from __future__ import annotations

import ntpath

from . import expected as wanted
from . import expected_windows as place
from . import windows_things
from .cmdline import Request, quoted
from .desk import Expected

LARGEST_READ = 1 << 20  # configuration is small; weights and libraries are not searched
RELEASE_NOTE = ".release.json"
LIST = "/L /E /BYTES /TS /FP /NC /NDL /NJH /NJS /NP /XJ /R:0 /W:0"  # names, sizes and times of what lies there


def first(machine: Expected, scratch: str) -> dict[str, str]:
    """{name: command} of everything that needs no other answer. `scratch`: a file that may be written and goes."""
    commands = {
        "tailscale": "tailscale status --json --peers=false",
        "tailscale-prefs": "tailscale debug prefs",
        "addresses": "route print",
        "sockets": "netstat -ano",
        "processes": "tasklist /V /FO CSV /NH",
        "sshd-service": "sc queryex sshd",
        "cards": "nvidia-smi --query-gpu=name --format=csv,noheader",
        "environment-machine": f"reg query {quoted(windows_things.ENVIRONMENT['machine'])}",
        "all-tasks": "schtasks /Query /XML",
    }
    commands |= _contents(machine)
    if "agent" in machine:
        commands |= access("above", ntpath.dirname(machine["agent"]["home"]), scratch)
    if wanted.in_container(machine):
        commands["containers"] = "docker ps -aq --no-trunc"
    if "ollama" in machine:
        commands["release"] = f"robocopy {quoted(release(machine))} NUL {LIST}"
    for number, root in enumerate(place.roots(machine)):
        packages = f" /XD {quoted(wanted.packages(machine))}" if wanted.packages(machine) else ""
        commands[f"below-{number}"] = f"robocopy {quoted(root)} NUL {LIST} /MAX:{LARGEST_READ}{packages}"
        commands |= access(f"below-{number}", root, scratch, " /T")
    held = [("services", each.name) for each in wanted.services(machine)]
    for kind, name in held + [("tasks", each["name"]) for each in wanted.things(machine, "tasks")]:
        commands |= _held(machine, kind, name)
    for kind, things in windows_things.KINDS.items():
        for each in wanted.things(machine, kind):
            commands |= things.asked(each)
    return commands


def _contents(machine: Expected) -> dict[str, str]:
    """Files that are read whole."""
    paths = {}
    if "agent" in machine:
        paths["manifest"] = ntpath.join(machine["agent"]["home"], "managed.json")
        paths["provenance"] = ntpath.join(machine["agent"]["home"], "provenance.json")
    if "ssh" in machine:
        paths["sshd"] = machine["ssh"]["drop_in"]  # `sshd -T` tells nothing of what stands below a Match
    if "gateway" in machine:
        paths["config"] = ntpath.join(machine["gateway_place"]["home"], "app", "config.yaml")
        paths["keys"] = ntpath.join(machine["gateway_place"]["home"], "gateway.env")
    if "ollama" in machine:
        paths["release-note"] = ntpath.join(release(machine), RELEASE_NOTE)
    return {name: f"type {quoted(path)}" for name, path in paths.items()}


def release(machine: Expected) -> str:
    """The directory of Ollama's declared version; no path at all without one."""
    ollama = machine.data.get("ollama")
    return ntpath.join(str(ollama["home"]), ollama["release"]["version"]) if ollama else ""


def access(label: str, path: str, scratch: str, more: str = "") -> dict[str, str]:
    """The access lists of a path as SDDL, in which names are SIDs in every language. icacls writes into a file only."""
    return {
        f"save-{label}": f"icacls {quoted(path)} /save {quoted(scratch)}{more} /C /Q",
        f"access-{label}": f"type {quoted(scratch)}",
        f"drop-{label}": f"del /q {quoted(scratch)}",
    }


def _held(machine: Expected, kind: str, name: str) -> dict[str, str]:
    """Whatever a scheduled task of ours runs; `kind` is services or tasks."""
    folder, task = place.held_folder(machine, kind, name), quoted(place.TASKS + name)
    return {
        f"task-{kind}-{name}": f"schtasks /Query /TN {task} /XML ONE",
        f"state-{kind}-{name}": f"schtasks /Query /TN {task} /FO CSV /V /NH",
        f"order-{kind}-{name}": f"type {quoted(ntpath.join(folder, 'hold.json'))}",
        f"record-{kind}-{name}": f"type {quoted(ntpath.join(folder, 'service.json'))}",
        f"holder-{kind}-{name}": f"certutil -hashfile {quoted(ntpath.join(folder, 'holder.pyz'))} SHA256",
    }


def to_ollama(machine: Expected) -> dict[str, Request]:
    if "ollama" not in machine:
        return {}
    url = f"http://127.0.0.1:{machine['ollama']['port']}/api/"
    return {f"ollama-{name}": Request(url + name) for name in ("version", "tags", "ps")}


def to_the_gateway(door: str, key: str) -> dict[str, Request]:
    """Asked at this URL, with that key and without."""
    return {
        "gateway-health": Request(f"{door}/health/liveliness"),
        "gateway-details": Request(f"{door}/health/readiness/details", key),
        "gateway-models": Request(f"{door}/v1/models", key),
        "gateway-info": Request(f"{door}/model/info", key),
        "gateway-no-key-models": Request(f"{door}/v1/models"),
        "gateway-wrong-key": Request(f"{door}/v1/models", "sk-of-somebody-else"),
        "gateway-no-key-chat": Request(f"{door}/v1/chat/completions", body='{"model": "none", "messages": []}'),
    }
