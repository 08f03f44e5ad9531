"""Docker Desktop: its installer, its start with a logon, its pipes, and `docker.exe` in front of a real engine.

The engine runs only while the backend does. Texts are recorded unless the research says otherwise (FIXTURES.md).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import real
from .processes import Process, wrapped
from .registry import DWORD, EXPAND_SZ, MACHINE_ENVIRONMENT, SZ
from .security import ADMINISTRATORS, AUTHENTICATED, EVERYONE, MACHINE, READ, SYSTEM, USERS, allows

if TYPE_CHECKING:
    from .machine import Machine

HOME = r"C:\Program Files\Docker\Docker"
CLI = rf"{HOME}\resources\bin\docker.exe"
DESKTOP, BACKEND = rf"{HOME}\Docker Desktop.exe", rf"{HOME}\resources\com.docker.backend.exe"
LISTED = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
UNINSTALL = rf"{LISTED}\Docker Desktop"
RUN = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run"
USERS_GROUP = f"{MACHINE}-1010"
PIPES = {
    "npipe:////./pipe/dockerDesktopLinuxEngine": "dockerDesktopLinuxEngine",
    "npipe:////./pipe/docker_engine": "docker_engine",
}
NO_ENGINE = (
    "failed to connect to the docker API at npipe:////./pipe/{0}; check if the path is correct and if the daemon is "
    "running: open //./pipe/{0}: {1}\n"
)
NO_ENGINE_OLD = (
    'error during connect: Get "http://%2F%2F.%2Fpipe%2F{0}/v1.47/version": open //./pipe/{0}: {1}\n'  # before 2026
)
REFUSED = (
    "error during connect: in the default daemon configuration on Windows, the docker client must be run with elevated "
    'privileges to connect: Get "http://%2F%2F.%2Fpipe%2F{0}/v1.47/version": open //./pipe/{0}: {1}\n'
)
NO_CONTEXT = 'Current context "{0}" is not found on the file system, please check your config file at {1}\n'
NO_SESSION = "A specified logon session does not exist. It may already have been terminated."
ABSENT, TAKEN = (
    "The requested address is not valid in its context.",
    ("Only one usage of each socket address (protocol/network address/port) is normally permitted."),
)
WITHOUT_ENGINE = {"--version", "-v", "help", "context"}


def kinds(machine: Machine) -> dict[str, Callable[[Process], int]]:
    return {"docker": docker, "docker-desktop": desktop, "docker-backend": backend, "docker-installer": installer}


def installer_bytes(version: str) -> bytes:
    """`Docker Desktop Installer.exe`."""
    return wrapped("docker-installer", version.encode() + b"\n")


def installer(process: Process) -> int:
    """`install --quiet --accept-license ...`. Without --quiet it asks, and waits for ever where nobody sees it."""
    machine = process.machine
    words = [each.lower() for each in process.arguments]
    if words[:1] == ["uninstall"]:
        _uninstall(machine)
        return 0
    if "install" not in words or "--quiet" not in words or "--accept-license" not in words:
        return process.live()
    if ADMINISTRATORS not in process.sids and SYSTEM not in process.sids:
        return 4
    version = machine.drive.read(process.image).split(b"\n")[1].decode()
    install(machine, version)
    return 0


def install(machine: Machine, version: str) -> None:
    drive, registry = machine.drive, machine.registry
    for place, program in ((CLI, "docker"), (DESKTOP, "docker-desktop"), (BACKEND, "docker-backend")):
        drive.write(place, wrapped(program))
    drive.write(rf"{HOME}\resources\cli-plugins\docker-compose.exe", wrapped("docker"))
    registry.writer = "windows"
    values: tuple[tuple[str, int, Any], ...] = (
        ("DisplayName", SZ, "Docker Desktop"),
        ("DisplayVersion", SZ, version),
        ("Publisher", SZ, "Docker Inc."),
        ("InstallLocation", SZ, HOME),
        ("EstimatedSize", DWORD, 3_000_000),
    )
    for name, kind, data in values:
        registry.set(UNINSTALL, name, kind, data)
    registry.writer = "agent"
    add_to_path(machine, rf"{HOME}\resources\bin")
    machine.accounts[USERS_GROUP] = ("APEX", "docker-users")
    if "com.docker.service" not in machine.services.known:
        machine.services.install("com.docker.service", rf'"{HOME}\com.docker.service"', 3)


def add_to_path(machine: Machine, folder: str) -> None:
    """At the end of the machine's path, unless it is there."""
    found = machine.registry.get(MACHINE_ENVIRONMENT, "Path")
    path = str(found[1]) if found else ""
    if folder.lower() not in path.lower():
        machine.registry.set(MACHINE_ENVIRONMENT, "Path", EXPAND_SZ, f"{path.rstrip(';')};{folder}")


def _uninstall(machine: Machine) -> None:
    machine.drive.wipe(HOME)
    machine.registry.delete_key(UNINSTALL)
    machine.accounts.pop(USERS_GROUP, None)
    machine.services.known.pop("com.docker.service", None)


# -- the desktop
def desktop(process: Process) -> int:
    """Starts the backend in the session of a person; elsewhere it ends, and nothing has begun."""
    machine = process.machine
    if process.session == 0:
        return 1
    if not machine.processes.find("com.docker.backend.exe"):
        _configure(machine)
        machine.processes.start([BACKEND], process, breakaway=True)
    return process.live()


def _configure(machine: Machine) -> None:
    """What Desktop writes at each start into its user's profile: the context, and that logins go to its helper."""
    folder = rf"C:\Users\{machine.user}\.docker"
    path = rf"{folder}\config.json"
    config: dict[str, Any] = json.loads(machine.drive.read(path)) if machine.drive.exists(path) else {}
    config |= {"credsStore": "desktop", "currentContext": "desktop-linux"}
    machine.drive.write(path, json.dumps(config, indent=1))
    meta = {"Name": "desktop-linux", "Endpoints": {"docker": {"Host": next(iter(PIPES)), "SkipTLSVerify": False}}}
    place = hashlib.sha256(b"desktop-linux").hexdigest()
    machine.drive.write(rf"{folder}\contexts\meta\{place}\meta.json", json.dumps(meta))


def backend(process: Process) -> int:
    """The engine, for as long as this process lives."""
    engine = process.machine.engine
    if not engine.start(process):
        return 1
    try:
        return process.live()
    finally:
        engine.stop()


# -- docker.exe
def docker(process: Process) -> int:
    machine, words = process.machine, process.arguments
    verb = next((each for each in words if not each.startswith("-")), words[0] if words else "help")
    if verb == "desktop":
        return _desktop_verb(process, words[words.index("desktop") + 1 :])
    config = process.environment.get("DOCKER_CONFIG") or rf"C:\Users\{machine.user}\.docker"
    if not (
        WITHOUT_ENGINE & {verb, *words[:1]}
        or words[-2:] == ["version", "--short"]
        or words[:2] == ["compose", "version"]
    ):
        refusal = _refusal(process, config)
        if refusal:
            process.say(refusal.encode("utf-8"), error=True)
            return 1
    machine.drive.make(config)
    environment = {"DOCKER_HOST": "unix:///var/run/docker.sock", "DOCKER_CONFIG": str(machine.drive.real(config))}
    environment["LAB_LOGON_SESSION"] = str(process.session)
    unreadable = _unreadable(process, environment) if "compose" in words and "up" in words else ""
    if unreadable:
        process.say(f"Error response from daemon: {unreadable}: permission denied\n", error=True)
        return 1
    root = str(machine.drive.folder).encode()
    arguments = [real.below(machine, each) for each in words]

    def says(block: bytes) -> bytes:
        block = block.replace(b"bind: cannot assign requested address", b"bind: " + ABSENT.encode())
        block = block.replace(b"bind: address already in use", b"bind: " + TAKEN.encode())
        return block.replace(root, b"/run/desktop/mnt/host/c")

    folder = machine.drive.real(rf"C:\Users\{machine.user}")
    return real.run(process, [machine.programs_below["docker"], *arguments], environment, folder=folder, says=says)


def _unreadable(process: Process, environment: dict[str, str]) -> str:
    """The first mounted file that its user may not read without elevation, as it is called in there; "" for none."""
    machine, words = process.machine, [real.below(process.machine, each) for each in process.arguments]
    before = [*words[: words.index("up")], "config", "--format", "json"]
    code, text = real.ask([machine.programs_below["docker"], *before], environment=environment)
    if code:
        return ""  # its own words say why
    plain = frozenset({machine.sid_of(machine.user), USERS, AUTHENTICATED, EVERYONE})
    for service in json.loads(text).get("services", {}).values():
        for volume in service.get("volumes", ()):
            source = Path(volume.get("source", ""))
            if volume.get("type") == "bind" and source.is_relative_to(machine.drive.folder) and source.exists():
                path = machine.drive.path_of(source)
                if not allows(machine.drive.descriptor(path), plain, READ):
                    return "open /run/desktop/mnt/host/c/" + path[3:].replace("\\", "/")
    return ""


def _refusal(process: Process, config: str) -> str:
    """Why the engine is not reached: no context, no engine, no right. "" when it is."""
    machine = process.machine
    host = process.environment.get("DOCKER_HOST", "")
    context = process.environment.get("DOCKER_CONTEXT", "")
    if "--context" in process.arguments:
        context = process.arguments[process.arguments.index("--context") + 1]
    path = rf"{config}\config.json"
    if not host:
        told = json.loads(machine.drive.read(path)) if machine.drive.exists(path) else {}
        context = context or told.get("currentContext", "default")
        place = hashlib.sha256(context.encode()).hexdigest()
        if context != "default" and not machine.drive.exists(rf"{config}\contexts\meta\{place}\meta.json"):
            return NO_CONTEXT.format(context, path)
        host = next(iter(PIPES)) if context == "desktop-linux" else "npipe:////./pipe/docker_engine"
    pipe = PIPES.get(host)
    if pipe is None:
        return f"unable to resolve docker endpoint: no such pipe {host}\n"
    if not machine.engine.runs():
        text = NO_ENGINE_OLD if machine.engine.speaks_old else NO_ENGINE
        return text.format(pipe, machine.say("The system cannot find the file specified."))
    if not process.sids & {ADMINISTRATORS, SYSTEM} and machine.sid_of(machine.user) not in process.sids:
        return REFUSED.format(pipe, machine.say("Access is denied."))
    return ""


def _desktop_verb(process: Process, words: list[str]) -> int:
    """`docker desktop start` never returns from a network logon (recorded)."""
    machine, verb = process.machine, words[0] if words else "help"
    running = machine.engine.runs()
    if verb == "status":
        process.say("Name                Value\nStatus              " + ("running" if running else "stopped") + "\n")
        return 0
    if verb in ("start", "restart"):
        if process.session == 0:
            return process.live()
        machine.processes.start([DESKTOP], process, breakaway=True)
        return 0 if real.until(machine.engine.runs, 120) else 1
    if verb == "stop":
        for name in ("Docker Desktop.exe", "com.docker.backend.exe"):
            for each in machine.processes.find(name):
                machine.processes.end(each, 0)
        return 0
    process.say(f"unknown docker command: desktop {verb}\n", error=True)
    return 1
