"""Windows' small programs. What each prints, where, in which encoding, and with which exit code: windows-system."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import firewall, icacls, looking, processtools, regtool, scheduler, services

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process

BALANCED = "381b4222-f694-41f0-9685-ff5bb260df2e"
CBS = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing"


@dataclass
class Settings:
    """How the tools behave on this machine; what the machine has."""

    schtasks_encoding: str = ""  # "" is the OEM page
    eight_bit_codes: bool = False
    old_certutil: bool = False
    sockets: list[tuple[str, str, int, str, int]] = field(default_factory=list)  # proto, local, port, state, pid
    addresses: Callable[[], dict[str, str]] = lambda: {"127.0.0.1": ""}  # own IPv4 address: its gateway
    cards: list[str] | None = field(default_factory=lambda: ["NVIDIA GeForce RTX 3090, 24576"])
    features: dict[str, str] = field(default_factory=lambda: {"VirtualMachinePlatform": "Disabled"})
    power: dict[str, list[int]] = field(
        default_factory=lambda: {
            "29f6c1db-86da-48c5-9fdb-f2b67b1f44da": [1800, 900],  # sleep after
            "9d7815a6-7ee4-497e-8888-515a05f02364": [10800, 5400],  # hibernate after
        }
    )
    wsl: bool = True
    wsl_missing_code: int = 1
    refused_pids: set[int] = field(default_factory=set)
    rubbish_ports: bool = True


def install(machine: Machine) -> None:
    """Put every program into System32."""
    programs: dict[str, Callable[[Process], int]] = {
        "schtasks": lambda process: scheduler.Schtasks(machine, process).main(),
        "netsh": firewall.netsh,
        "sc": services.sc,
        "reg": regtool.reg,
        "setx": regtool.setx,
        "icacls": icacls.icacls,
        "netstat": processtools.netstat,
        "tasklist": processtools.tasklist,
        "taskkill": processtools.taskkill,
        "route": looking.route,
        "robocopy": looking.robocopy,
        "certutil": certutil,
        "powercfg": powercfg,
        "dism": dism,
        "wsl": wsl,
        "tar": tar,
        "shutdown": shutdown,
        "net": net,
    }
    for name, program in programs.items():
        machine.processes.install(rf"C:\Windows\System32\{name}.exe", program)
    if machine.tools.cards is not None:
        machine.processes.install(r"C:\Windows\System32\nvidia-smi.exe", nvidia_smi)


def certutil(process: Process) -> int:
    machine, (_, path, name) = process.machine, process.arguments[:3]
    if not machine.drive.exists(path):
        process.say_lines("CertUtil: -hashfile command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)")
        return -2147024894
    if machine.drive.real(path).is_dir():  # assumed: as CreateFile refuses one
        process.say_lines("CertUtil: -hashfile command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)")
        return 0x80070005 - (1 << 32)
    digest = hashlib.new(name.lower(), machine.drive.read(path)).hexdigest()
    if machine.tools.old_certutil:
        process.say_lines(f"SHA256 hash of file {path}:", " ".join(re.findall("..", digest)))
    else:
        process.say_lines(machine.say("SHA256 hash of {0}:", path), digest)
    process.say_lines(machine.say("CertUtil: -hashfile command completed successfully."))
    return 0


def powercfg(process: Process) -> int:
    machine, words = process.machine, [each.lower() for each in process.arguments]
    settings = machine.tools.power
    if words[0] in ("/setacvalueindex", "/setdcvalueindex"):
        if words[3] not in settings:
            process.say_lines('Invalid Parameters -- try "/?" for help', error=True)
            return 1
        settings[words[3]][0 if words[0] == "/setacvalueindex" else 1] = int(words[4])
        return 0
    if words[0] == "/setactive":
        return 0
    setting = words[3] if len(words) > 3 else ""
    if setting not in settings:
        process.say_lines('Invalid Parameters -- try "/?" for help', error=True)
        return 1
    alternating, direct = settings[setting]
    balanced = "Ausbalanciert" if machine.language == "de" else "Balanced"
    process.say_lines(f"{machine.say('Power Scheme GUID')}: {BALANCED}  ({balanced})", "  GUID Alias: SCHEME_BALANCED")
    process.say_lines(
        f"  {machine.say('Subgroup GUID')}: {words[2]}  (x)",
        f"    {machine.say('Power Setting GUID')}: {setting}",
    )
    process.say_lines("      Minimum Possible Setting: 0x00000000", "      Maximum Possible Setting: 0xffffffff")
    process.say_lines(f"    {machine.say('Current AC Power Setting Index')}: 0x{alternating:08x}")
    process.say_lines(f"    {machine.say('Current DC Power Setting Index')}: 0x{direct:08x}", "")
    return 0


def dism(process: Process) -> int:
    machine, words = process.machine, process.arguments
    if not machine.elevated:
        process.say_lines("", machine.say("Error: 740"), "")
        return 740
    name = next((each.partition(":")[2] for each in words if each.lower().startswith("/featurename:")), "")
    if "/Enable-Feature" in words:
        machine.tools.features[name] = "Enable Pending"
        machine.registry.writer = "windows"
        machine.registry.find(f"{CBS}\\RebootPending", make=True)
        machine.registry.writer = "agent"
        return 3010
    if "/Disable-Feature" in words:
        machine.tools.features[name] = "Disabled"
        return 0
    if name not in machine.tools.features:
        process.say_lines("", "Error: 0x800f080c", "")
        return 0x800F080C - (1 << 32)
    state = machine.tools.features[name]
    process.say_lines("", f"Feature Name : {name}", f"State : {state}", "", "The operation completed successfully.")
    return 0


def wsl(process: Process) -> int:
    machine = process.machine
    narrow = process.environment.get("WSL_UTF8") == "1"

    def say(*lines: str) -> None:
        text = "".join(f"{line}\r\n" for line in lines)
        process.say(text.encode("utf-8" if narrow else "utf-16-le"))

    if not machine.tools.wsl:
        say("The Windows Subsystem for Linux is not installed. You can install by running 'wsl.exe --install'.")
        return machine.tools.wsl_missing_code
    if process.arguments == ["--status"]:
        say(machine.say("Default Version: 2"))
    else:
        say("  NAME              STATE           VERSION", "* docker-desktop    Running         2")
    return 0


def nvidia_smi(process: Process) -> int:
    query = process.arguments[0]
    for card in process.machine.tools.cards or ():
        process.say_lines("1234, explorer.exe, [N/A]" if "compute-apps" in query else card)
    return 0


def tar(process: Process) -> int:
    """`tar -xf x.zip -C dir`: files already unpacked stay when a locked one stops it."""
    machine, words = process.machine, process.arguments
    if words == ["--version"]:
        process.say_lines("bsdtar 3.8.1 - libarchive 3.8.1 zlib/1.2.13.1-motley")
        return 0
    archive, into = words[words.index("-xf") + 1], words[words.index("-C") + 1]
    if not machine.drive.exists(into):
        process.say_lines(f"tar.exe: could not chdir to '{into}'", error=True)
        return 1
    with zipfile.ZipFile(machine.drive.real(archive)) as packed:
        for name in packed.namelist():
            target = f"{into}\\{name}"
            if machine.drive.exists(target) and machine.drive.is_open(target):
                process.say_lines(f"tar.exe: {name}: Can't unlink already-existing object", error=True)
                return 1
            machine.drive.write(target, packed.read(name))
    return 0


def shutdown(process: Process) -> int:
    process.machine.reboot_asked = "/r" in process.arguments
    return 0


def net(process: Process) -> int:
    """`net stop|start x` waits until it is so; exit 2 on any refusal. Assumed, both."""
    services_ = process.machine.services
    verb, name = process.arguments[:2]
    service = services_.known.get(name.lower())
    wanted = {"start": services.RUNNING, "stop": services.STOPPED}[verb]
    if service is None or service.state == wanted or not process.machine.elevated:
        return 2
    service.state = services.START_PENDING if verb == "start" else services.STOP_PENDING
    service.polls_left = 0
    services_.poll(service)
    return 0
