"""What a Linux machine must be like, worked out from the data alone and in this suite's own way. Pure."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterator

from .desk import Expected
from .expected import WantedFile, WantedService, gateway_files

UNITS = "/etc/systemd/system"


def files(machine: Expected) -> Iterator[WantedFile]:
    """What must lie on a Linux machine, with its owner and mode."""
    if "agent" in machine:
        yield WantedFile(machine["agent"]["home"], "root 0700", "directory")
    if "ssh" in machine:
        yield WantedFile(machine["ssh"]["drop_in"], "root 0644")
    if "gateway" in machine:
        home = machine["gateway_place"]["home"]
        yield WantedFile(home, "root 0755", "directory")
        yield WantedFile(posixpath.join(home, "gateway.env"), "root 0600")
        yield WantedFile(posixpath.join(home, "app"), "root 0755", "directory")
        for name in gateway_files(machine):
            yield WantedFile(posixpath.join(home, *name.split("/")), "root 0644")
    if "brain" in machine:
        brain = machine["brain"]
        yield WantedFile(brain["program"], "root 0755")
        yield WantedFile(posixpath.dirname(brain["settings"]), f"{brain['user']} 0700", "directory")
        yield WantedFile(brain["settings"], f"{brain['user']} 0600")


def managed_directories(machine: Expected) -> list[str]:
    """Where our files lie, for whoever looks for something that leaked."""
    found = [each.path if each.kind == "directory" else posixpath.dirname(each.path) for each in files(machine)]
    if "ollama" in machine:
        found += [machine["ollama"]["home"], machine["ollama"]["state"], UNITS]
    return sorted(set(found))


# ---- units: every line of one counts


def unit_file(name: str) -> str:
    return posixpath.join(UNITS, f"{name}.service")


def definition(service: WantedService) -> dict[str, str]:
    """Everything that a unit must say, as `unit` reads it."""
    own = service.account == "own"
    return {
        "Unit Wants": "network-online.target",
        "Unit After": "network-online.target",
        "Unit StartLimitIntervalSec": "0",
        **({"Service DynamicUser": "yes"} if own else {}),
        **({"Service StateDirectory": posixpath.relpath(service.state, "/var/lib")} if service.state else {}),
        **({"Service StandardInput": f"file:{service.secrets}"} if service.secrets else {}),
        **{f"Service Environment {name}": str(value) for name, value in service.environment.items()},
        "Service ExecStart": shlex.join(service.command),
        "Service Restart": "always",
        "Service RestartSec": "2",
        "Service KillMode": "control-group",
        "Service TimeoutStopSec": "20",
        "Install WantedBy": "multi-user.target",
    }


def unit(text: str) -> dict[str, str]:
    """{section and name: value} of a unit file; a name that comes again adds to the first. Its description is free."""
    found: dict[str, str] = {}
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        words = line.strip()
        if words.startswith("["):
            section = words.strip("[]")
        elif "=" in words and words[0] not in "#;":
            name, _, value = words.partition("=")
            _add(found, section, name.strip(), value.strip())
    return found


def _add(found: dict[str, str], section: str, name: str, value: str) -> None:
    if name == "Environment":
        for each in _words(value):
            variable, _, text = each.partition("=")
            found[f"{section} Environment {variable}"] = text.replace("%%", "%")
    elif name == "ExecStart":
        command = shlex.join(each.replace("%%", "%").replace("$$", "$") for each in _words(value))
        found["Service ExecStart"] = "; ".join(filter(None, [found.get("Service ExecStart"), command]))
    elif name != "Description":
        found[f"{section} {name}"] = " ".join(filter(None, [found.get(f"{section} {name}"), value]))


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return [text]
