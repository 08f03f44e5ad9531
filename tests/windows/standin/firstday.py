"""A bare Windows 11 as bootstrap.cmd meets it: no OpenSSH server, no Tailscale, and the programs that bring them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from . import icacls as access
from . import regtool, tools
from .machine import SSH_HOME, SSH_HOME_ACCESS
from .registry import SZ
from .security import ADMINISTRATORS, SYSTEM, TRUSTED_INSTALLER
from .services import RUNNING, START_PENDING, STOPPED
from .use import Said

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process

SYSTEM32 = r"C:\Windows\System32"
CONSOLE = rf"{SYSTEM32}\conhost.exe"
TAILSCALE = r"C:\Program Files\Tailscale\tailscale.exe"
POLICY = r"HKLM\SOFTWARE\Policies\Tailscale"
LOGS_ACCESS = "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
HOST_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostKeyOfTheStandIn nt authority\\system@APEX\r\n"
# recorded: the rule's id and its tokens; assumed: the shown name, of which Microsoft's pages have two forms
SHIPPED_RULE = (
    r"v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|App=%SystemRoot%\system32\OpenSSH\sshd.exe|"
    r"Name=OpenSSH SSH Server (sshd)|Desc=Inbound rule for OpenSSH SSH Server (sshd)|EmbedCtxt=OpenSSH Server|"
)


@dataclass
class FirstDay:
    """What happens on it."""

    dism_code: int = 0
    sshd_after_restart: bool = False  # the capability asks for a restart before its service is there
    internet: dict[str, bytes] = field(default_factory=dict)  # URL -> bytes
    msiexec_code: int = 0
    login: bool = True  # somebody logs in when `tailscale up` asks for it
    tailnet: str = "NeedsLogin"  # or Running, Stopped (`tailscale down`), Expired (its key: it must log in again)
    started: list[list[str]] = field(default_factory=list)  # what the installers were told


def bare(machine: Machine) -> FirstDay:
    """Take away what is not in Windows, and put its own programs there."""
    day = FirstDay()
    machine.drive.wipe(SSH_HOME)
    for name in ("sshd", "Tailscale"):
        del machine.services.known[name.lower()]
        machine.registry.delete_key(rf"HKLM\SYSTEM\CurrentControlSet\Services\{name}")
    programs: dict[str, Callable[[Process], int]] = {
        "conhost": lambda _process: 0,
        "fltmc": fltmc,
        "findstr": findstr,
        "dism": lambda process: dism(process, day),
        "ping": lambda process: ping(process, day),
        "reg": reg,
        "icacls": icacls,
        "takeown": takeown,
        "curl": lambda process: curl(process, day),
        "msiexec": lambda process: msiexec(process, day),
    }
    for name, program in programs.items():
        machine.processes.install(rf"{SYSTEM32}\{name}.exe", program)
    return day


def run_batch(machine: Machine, path: str, *arguments: str, typed: bytes = b"") -> Said:
    """A batch file in a console of the user's."""
    from .batch import Batch

    given = [f'"{each}"' for each in arguments]
    machine.processes.programs[CONSOLE.lower()] = lambda process: Batch(process, path, given, typed).main()
    environment = {
        "SYSTEMROOT": r"C:\Windows",
        "PROGRAMFILES": r"C:\Program Files",
        "PROGRAMDATA": r"C:\ProgramData",
        "COMPUTERNAME": "APEX",
        "USERNAME": machine.user,
    }
    own = machine.process()
    process = machine.processes.start([CONSOLE], own, environment)
    assert process.ended.wait(60), "bootstrap.cmd does not end"
    return Said(process.code or 0, process.out.decode(machine.oem), process.err.decode(machine.oem))


def fltmc(process: Process) -> int:
    """Assumed: a negative HRESULT without elevation. `if errorlevel 1` would miss it."""
    if process.machine.elevated:
        return 0
    process.say(f"0x80070005\r\n{process.machine.say('Access is denied.')}\r\n", True)
    return -2147024891


def findstr(process: Process) -> int:
    """Search in what comes on stdin: literal, or by a pattern whose signs mean the same to Python."""
    switches = {each.lower() for each in process.arguments if each.startswith("/") and not each.startswith("/c:")}
    assert switches <= {"/l", "/r", "/i", "/e", "/x"}, f"findstr {switches} is not known here"
    assert len(switches & {"/l", "/r"}) == 1, "without /l the points of an address match anything"
    wanted = next(each for each in process.arguments if each.startswith("/c:")).removeprefix("/c:")
    assert len(wanted) <= 254, "findstr refuses longer texts"
    assert "/l" in switches or re.fullmatch(r"(?:[\w :]|\[\^?[\w(]+\])+", wanted), f"{wanted!r} is not known here"

    def found(line: str) -> bool:
        if "/r" in switches:
            return re.search(wanted, line) is not None
        line, text = (line.lower(), wanted.lower()) if "/i" in switches else (line, wanted)
        if "/x" in switches:
            return line == text
        return line.endswith(text) if "/e" in switches else text in line

    lines = process.given.decode(process.machine.oem).splitlines()
    hits = [line for line in lines if found(line)]
    process.say("".join(f"{line}\r\n" for line in hits).encode(process.machine.oem))
    return 0 if hits else 1


def dism(process: Process, day: FirstDay) -> int:
    machine, words = process.machine, process.arguments
    if "/Add-Capability" not in words:
        return tools.dism(process)
    assert "/CapabilityName:OpenSSH.Server~~~~0.0.1.0" in words
    assert machine.elevated
    if day.dism_code in (0, 3010) and not day.sshd_after_restart:
        machine.services.install("sshd", rf"{SYSTEM32}\OpenSSH\sshd.exe", 3)
        machine.firewall.put("OpenSSH-Server-In-TCP", SHIPPED_RULE)
    return day.dism_code


def ping(process: Process, _day: FirstDay) -> int:
    """A second goes by: what starts has started. sshd's first start makes what is not there yet.

    Recorded in its issues: it does not start (1067) while others may change its folder or that of its logs.
    """
    machine = process.machine
    service = machine.services.known.get("sshd")
    if service and service.state == START_PENDING:
        if _is_loose(machine, SSH_HOME) or _is_loose(machine, rf"{SSH_HOME}\logs"):
            service.state, service.exit_code = STOPPED, 1067
            return 0
        service.polls_left = 0
        machine.services.poll(service)
    if service and service.state == RUNNING:
        made = {SSH_HOME: SSH_HOME_ACCESS, rf"{SSH_HOME}\logs": LOGS_ACCESS}
        for folder, sddl in made.items():
            if not machine.drive.exists(folder):
                machine.drive.make(folder, sddl)
        for name, content in (("ssh_host_ed25519_key.pub", HOST_KEY), ("sshd_config", b"# as shipped\r\n")):
            if not machine.drive.exists(rf"{SSH_HOME}\{name}"):
                machine.drive.write(rf"{SSH_HOME}\{name}", content)
    return 0


def _is_loose(machine: Machine, path: str) -> bool:
    """Whether others than administrators and the system own it or may do more there than read."""
    if not machine.drive.exists(path):
        return False
    found, trusted = machine.drive.descriptor(path), {ADMINISTRATORS, SYSTEM, TRUSTED_INSTALLER}
    reading = 0x1200A9
    others = [ace for ace in found.aces if ace.allow and ace.sid not in trusted and ace.mapped & ~reading]
    return found.owner not in trusted or bool(others)


def takeown(process: Process) -> int:
    """`takeown /f PATH /a`: with elevation the administrators own it, whoever did before."""
    machine, words = process.machine, process.arguments
    assert "/a" in words, "else the one who runs it becomes the owner"
    path = words[words.index("/f") + 1]
    if not machine.elevated or not machine.drive.exists(path):
        process.say_lines(f"{machine.say('ERROR: ')}{machine.say('Access is denied.')}", error=True)
        return 1
    key = machine.drive.key(path)
    machine.drive.descriptors[key] = replace(machine.drive.descriptor(path), owner=ADMINISTRATORS)
    return 0


def reg(process: Process) -> int:
    if process.arguments[0].lower() != "delete":
        return regtool.reg(process)
    assert "/f" in process.arguments, "it would ask"
    process.machine.registry.delete(process.arguments[1], process.arguments[process.arguments.index("/v") + 1])
    return 0


def icacls(process: Process) -> int:
    """/reset: only what is inherited stays. Its owner does, too."""
    path, *options = process.arguments
    if options != ["/reset"]:
        return access.icacls(process)
    drive = process.machine.drive
    drive.born(path, drive.descriptor(path).owner)
    drive.set_descriptor(path, drive.sddl(path), process.sids, restore=True)
    drive.descriptors[drive.key(path)] = replace(drive.descriptor(path), protected=False)
    return 0


def curl(process: Process, day: FirstDay) -> int:
    """6: the name is not found."""
    url, into = process.arguments[-1], process.arguments[process.arguments.index("-o") + 1]
    if url not in day.internet:
        process.say(f"curl: (6) Could not resolve host: {url.split('/')[2]}\r\n", True)
        return 6
    process.machine.drive.write(into, day.internet[url])
    return 0


def msiexec(process: Process, day: FirstDay) -> int:
    """Tailscale's package. Its properties become policy values (documented in its source)."""
    machine = process.machine
    day.started.append(process.arguments)
    if day.msiexec_code not in (0, 3010):
        return day.msiexec_code
    machine.processes.install(TAILSCALE, lambda each: tailscale(each, day))
    machine.services.install("Tailscale", r'"C:\Program Files\Tailscale\tailscaled.exe"', 2)
    if "TS_UNATTENDEDMODE=always" in process.arguments:
        machine.registry.set(POLICY, "UnattendedMode", SZ, "always")
    return day.msiexec_code


def tailscale(process: Process, day: FirstDay) -> int:
    """An address stays while it is stopped or its key has expired (tailscale#2273); `status` then ends with 1."""
    if process.arguments == ["ip", "-4"]:
        if day.tailnet == "NeedsLogin":
            process.say("no current Tailscale IPs; state: NeedsLogin\n", True)
            return 1
        process.say("100.64.0.7\n")
        return 0
    if process.arguments == ["status", "--peers=false"]:
        words = {"Running": "100.64.0.7  apex  anna@  windows  -", "Stopped": "Tailscale is stopped."}
        process.say(f"{words.get(day.tailnet, 'Logged out.')}\n")
        return 0 if day.tailnet == "Running" else 1
    assert process.arguments == ["up", "--unattended"]
    if day.tailnet == "Stopped":  # nobody has to log in for that
        day.tailnet = "Running"
        return 0
    process.say("\nTo authenticate, visit:\n\n\thttps://login.example/a/1\n\n", True)
    if day.login:
        day.tailnet = "Running"
    return 0 if day.login else 1


def rule_of(machine: Machine, name: str) -> str:
    """The string of our rule; there is one."""
    (number,) = machine.firewall.named(name)
    return machine.firewall.rules()[number]
