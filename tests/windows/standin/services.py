"""Windows services: the SCM's database taken from the registry at boot, and `sc` in front (windows-system 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .registry import DWORD, EXPAND_SZ, SERVICES, SZ

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process

STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
WORDS = {STOPPED: "STOPPED", START_PENDING: "START_PENDING", STOP_PENDING: "STOP_PENDING", RUNNING: "RUNNING"}
STARTS = {2: "AUTO_START", 3: "DEMAND_START", 4: "DISABLED"}
TEXTS = {
    5: "Access is denied.",
    1056: "An instance of the service is already running.",
    1058: "The service cannot be started because it is disabled.",
    1060: "The specified service does not exist as an installed service.",
    1062: "The service has not been started.",
    1072: "The specified service has been marked for deletion.",
    1073: "The specified service already exists.",
}


@dataclass
class Service:
    name: str
    image: str
    start: int
    delayed: bool = False
    state: int = STOPPED
    polls_left: int = 0
    exit_code: int = 1077
    deleted: bool = False
    pid: int = 0


class Services:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.known: dict[str, Service] = {}
        self.polls = 2  # how often a pending state is seen
        self.open_handles: set[str] = set()  # somebody has services.msc open
        for name, image, start in (
            ("sshd", r"C:\Windows\System32\OpenSSH\sshd.exe", 2),
            ("Tailscale", r'"C:\Program Files\Tailscale\tailscaled.exe"', 2),
            ("Spooler", r"C:\Windows\System32\spoolsv.exe", 3),
        ):
            self.install(name, image, start)

    def install(self, name: str, image: str, start: int, delayed: bool = False) -> None:
        key = f"{SERVICES}\\{name}"
        registry = self.machine.registry
        registry.writer = "windows"
        registry.set(key, "Type", DWORD, 0x10)
        registry.set(key, "Start", DWORD, start)
        registry.set(key, "ImagePath", EXPAND_SZ, image)
        registry.set(key, "DisplayName", SZ, name)
        registry.set(key, "ObjectName", SZ, "LocalSystem")
        if delayed:
            registry.set(key, "DelayedAutostart", DWORD, 1)
        registry.writer = "agent"
        self.known[name.lower()] = Service(name, image, start, delayed)

    def boot(self) -> None:
        """Only now does the SCM read what somebody wrote into the registry."""
        for name, service in list(self.known.items()):
            key = f"{SERVICES}\\{service.name}"
            start, delayed = self.machine.registry.get(key, "Start"), self.machine.registry.get(key, "DelayedAutostart")
            if start is None:
                del self.known[name]
                continue
            service.start = start[1]
            service.delayed = bool(delayed and delayed[1])
            self._enter(service, RUNNING if service.start == 2 else STOPPED)

    def _enter(self, service: Service, state: int) -> None:
        service.state, service.exit_code = state, 0 if state == RUNNING else service.exit_code
        if state == RUNNING:
            service.pid = self.machine.processes.add(
                service.image.strip('"'), 4, self.machine.token("S-1-5-18"), arguments=[], environment={}, session=0
            ).pid
        else:
            old = self.machine.processes.all.get(service.pid)
            if old:
                self.machine.processes.end(old, 0)
            service.pid = 0

    def poll(self, service: Service) -> None:
        """A pending state passes after some polls."""
        if service.state in (START_PENDING, STOP_PENDING):
            if service.polls_left:
                service.polls_left -= 1
            else:
                self._enter(service, RUNNING if service.state == START_PENDING else STOPPED)


def sc(process: Process) -> int:  # noqa: PLR0912
    """sc.exe: labels in English, sentences by language, all on stdout in the OEM page, exit = the Win32 number."""
    machine, services = process.machine, process.machine.services

    def say(*lines: str) -> None:
        process.say("".join(f"{line}\r\n" for line in lines).encode(machine.oem, "replace"))

    def fail(call: str, number: int) -> int:
        say(f"[SC] {call} {machine.say('FAILED')} {number}:", "", machine.say(TEXTS[number]), "")
        return number & 0xFF if machine.tools.eight_bit_codes else number

    def done(call: str) -> int:
        say(f"[SC] {call} {machine.say('SUCCESS')}")
        return 0

    verb, name = process.arguments[0].lower(), process.arguments[1] if len(process.arguments) > 1 else ""
    service = services.known.get(name.lower())
    rest = process.arguments[2:]
    if verb == "create":
        if service and service.deleted:
            return fail("CreateService", 1072)
        if service:
            return fail("CreateService", 1073)
        services.install(name, rest[rest.index("binPath=") + 1], 3)
        return done("CreateService")
    if service is None:
        return fail({"query": "EnumQueryServicesStatus:OpenService"}.get(verb, "OpenService"), 1060)
    if verb in ("query", "queryex"):
        services.poll(service)
        say(*_shown(service, verb == "queryex"))
        return 0
    if verb == "qc":
        return _config(service, say, done)
    if not machine.elevated:
        return fail(f"{verb.capitalize()}Service: OpenService", 5)
    if verb == "start":
        if service.state in (RUNNING, START_PENDING):
            return fail("StartService", 1056)
        if service.start == 4:
            return fail("StartService", 1058)
        service.state, service.polls_left = START_PENDING, services.polls
    elif verb == "stop":
        if service.state == STOPPED:
            return fail("ControlService", 1062)
        service.state, service.polls_left = STOP_PENDING, services.polls
    elif verb == "config":
        word = rest[rest.index("start=") + 1]
        service.start = {"auto": 2, "delayed-auto": 2, "demand": 3, "disabled": 4}[word]
        service.delayed = word == "delayed-auto"
        machine.registry.writer = "windows"
        machine.registry.set(f"{SERVICES}\\{service.name}", "Start", DWORD, service.start)
        machine.registry.set(f"{SERVICES}\\{service.name}", "DelayedAutostart", DWORD, int(service.delayed))
        machine.registry.writer = "agent"
        return done("ChangeServiceConfig")
    elif verb == "delete":
        if service.name.lower() in services.open_handles:
            service.deleted = True
        else:
            del services.known[service.name.lower()]
            machine.registry.delete_key(f"{SERVICES}\\{service.name}")
        return done("DeleteService")
    say(*_shown(service, False))
    return 0


def _shown(service: Service, more: bool) -> list[str]:
    state = WORDS[service.state]
    lines = ["", f"SERVICE_NAME: {service.name} ", "        TYPE               : 10  WIN32_OWN_PROCESS  "]
    lines += [f"        STATE              : {service.state}  {state} ", " " * 32 + "(STOPPABLE, NOT_PAUSABLE)"]
    lines += [f"        WIN32_EXIT_CODE    : {service.exit_code}  (0x{service.exit_code:x})"]
    lines += [
        "        SERVICE_EXIT_CODE  : 0  (0x0)",
        "        CHECKPOINT         : 0x0",
        "        WAIT_HINT          : 0x0",
    ]
    return [*lines, f"        PID                : {service.pid}", "        FLAGS              : "] if more else lines


def _config(service: Service, say: object, done: object) -> int:
    assert callable(say)
    assert callable(done)
    done("QueryServiceConfig")
    delayed = "  (DELAYED)" if service.delayed and service.start == 2 else ""
    say(
        "",
        f"SERVICE_NAME: {service.name}",
        "        TYPE               : 10  WIN32_OWN_PROCESS ",
        f"        START_TYPE         : {service.start}   {STARTS[service.start]}{delayed}",
        "        ERROR_CONTROL      : 1   NORMAL",
        f"        BINARY_PATH_NAME   : {service.image}",
        "        SERVICE_START_NAME : LocalSystem",
    )
    return 0
