"""Programs that archives and installers bring: Ollama, Tailscale, curl, Python; real ones behind the names."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING

from . import dockerdesktop, real, uv
from .processes import Process, wrapped
from .python import interpreter
from .registry import DWORD, SZ
from .security import SYSTEM

if TYPE_CHECKING:
    from .machine import Machine

RUNTIME = "lib/ollama/runtime"  # where the zip that the lab serves has the real server, in its own layout
TAILSCALE = r"C:\Program Files\Tailscale\tailscale.exe"
IPN = r"HKLM\SOFTWARE\Tailscale IPN"
IN_USE = 'Tailscale already in use ("{0}"); connection from "{1}" not allowed'
BELOW = {"docker": "/usr/bin/docker", "tailscale": "/usr/bin/tailscale", "curl": "/usr/bin/curl"}


def install(machine: Machine) -> None:
    """Every kind, and those programs that a machine has from the factory or from bootstrap."""
    machine.programs_below = dict(BELOW)
    machine.processes.kinds.update({"ollama": ollama, "tailscale": tailscale, "curl": curl})
    machine.processes.kinds["python"] = interpreter(machine)
    machine.processes.kinds.update(dockerdesktop.kinds(machine))
    machine.processes.kinds.update(uv.kinds())
    machine.drive.write(r"C:\Windows\System32\curl.exe", wrapped("curl"))
    machine.processes.install(r"C:\Windows\System32\msiexec.exe", msiexec)
    machine.drive.write(TAILSCALE, wrapped("tailscale"))


def furnish(machine: Machine) -> None:
    """As bootstrap leaves Tailscale: found by its name, and not waiting for a logon."""
    machine.registry.set(IPN, "ForceDaemon", DWORD, 1)
    dockerdesktop.add_to_path(machine, r"C:\Program Files\Tailscale")


def msiexec(process: Process) -> int:
    """`msiexec /i FILE /quiet /norestart`: what the package brings is listed. 1603 when it is no package."""
    machine, words = process.machine, process.arguments
    if machine.installer_code:
        return machine.installer_code
    package = machine.drive.read(words[[each.lower() for each in words].index("/i") + 1])
    if not package.startswith(wrapped("msi")):
        return 1603
    told: dict[str, str] = json.loads(package.split(b"\n")[1])
    machine.registry.writer = "windows"
    for name, value in told.items():
        machine.registry.set(f"{dockerdesktop.LISTED}\\{{{told['DisplayName']}}}", name, SZ, value)
    machine.registry.writer = "agent"
    machine.tools.wsl |= "Linux" in told["DisplayName"]
    return 0


# -- Ollama
def ollama(process: Process) -> int:
    """The real server or client. It says all on stderr; what it starts does not end with it."""
    machine = process.machine
    server = machine.drive.real(process.image).parent / RUNTIME / "bin" / "ollama"
    for each in (server, *server.parent.parent.glob("lib/ollama/llama-server*")):
        each.chmod(0o755)
    passed = {name: value for name, value in process.environment.items() if name.upper().startswith("OLLAMA_")}
    environment = {name.upper(): real.below(machine, value) for name, value in passed.items()}
    home = process.environment.get("USERPROFILE") or rf"C:\Users\{machine.user}"
    machine.drive.make(home)
    environment["HOME"] = str(machine.drive.real(home))
    serves = process.arguments[:1] == ["serve"]
    if serves and (problem := _cannot_listen(environment.get("OLLAMA_HOST", "127.0.0.1:11434"))):
        process.say(f"Error: listen tcp {problem}\n", error=True)
        return 1
    return real.run(
        process,
        [server, *process.arguments],
        environment,
        child_name="llama-server.exe" if serves else "",
        both_to_err=serves,
    )


def _cannot_listen(host: str) -> str:
    """Why the address cannot be had, in Winsock's words; "" when it can."""
    address, _, port = host.removeprefix("http://").rpartition(":")
    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address or "127.0.0.1", int(port)))
            trial.listen()
    except OSError as problem:
        text = dockerdesktop.TAKEN if problem.errno == 98 else dockerdesktop.ABSENT
        return f"{address}:{port}: bind: {text}"
    return ""


# -- Tailscale
def tailscale(process: Process) -> int:
    """The real client. Status in JSON is never a failure; one user of Windows at a time; unattended is a setting."""
    machine, words = process.machine, list(process.arguments)
    owner = machine.registry.get(IPN, "User")
    own = process.environment.get("USERNAME", machine.user)
    if owner and str(owner[1]).lower() != own.lower() and SYSTEM not in process.sids:
        said = IN_USE.format(rf"APEX\{owner[1]}", rf"APEX\{own}")
        process.say(f"Failed to connect to local Tailscale daemon: 401 Unauthorized: {said}\n", error=True)
        return 1
    unattended = [each for each in words if each.startswith("--unattended")]
    if unattended:
        machine.registry.set(IPN, "ForceDaemon", DWORD, 0 if unattended[0].endswith("=false") else 1)
        words = [each for each in words if each not in unattended]
        if words == ["set"]:
            return 0
    if words[:2] == ["debug", "prefs"]:
        force = machine.registry.get(IPN, "ForceDaemon")
        _, text = real.ask([machine.programs_below["tailscale"], *words])
        prefs = json.loads(text) if text.startswith("{") else {}
        stays = bool(force[1]) if force else bool(prefs.get("ForceDaemon"))
        process.say(json.dumps({**prefs, "ForceDaemon": stays}, indent=1) + "\n")
        return 0
    code = real.run(process, [machine.programs_below["tailscale"], *words])
    return 0 if words[:1] == ["status"] and any(each.startswith("--json") for each in words) else code


# -- curl
def curl(process: Process) -> int:
    """The real one, with the paths of its arguments and of a configuration on stdin translated."""
    machine = process.machine
    if not machine.internet:
        process.say(f"curl: (6) Could not resolve host: {process.arguments[-1].split('/')[2]}\r\n", error=True)
        return 6
    arguments = [each if "://" in each else real.below(machine, each) for each in process.arguments]
    arguments = [os.devnull if each.upper() == "NUL" else each for each in arguments]
    return real.run(process, [machine.programs_below["curl"], *arguments])
