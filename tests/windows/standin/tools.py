"""Windows' small programs. What each prints, where, in which encoding, and with which exit code: windows-system."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from . import firewall, looking, scheduler, security, services
from .registry import BINARY, DWORD, EXPAND_SZ, MULTI_SZ, SZ, USER_ENVIRONMENT
from .security import Ace

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process

TYPES = {SZ: "REG_SZ", EXPAND_SZ: "REG_EXPAND_SZ", DWORD: "REG_DWORD", MULTI_SZ: "REG_MULTI_SZ", BINARY: "REG_BINARY"}
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
        "reg": reg,
        "setx": setx,
        "icacls": icacls,
        "netstat": netstat,
        "tasklist": tasklist,
        "taskkill": taskkill,
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


def _say(process: Process, *lines: str, error: bool = False) -> None:
    """CRLF and the OEM code page: characters outside it are lost."""
    process.say("".join(f"{line}\r\n" for line in lines).encode(process.machine.oem, "replace"), error)


# -- registry
def reg(process: Process) -> int:
    machine = process.machine
    verb, path = process.arguments[0].lower(), process.arguments[1]
    name = process.arguments[process.arguments.index("/v") + 1] if "/v" in process.arguments else None
    if verb == "add":
        kind = process.arguments[process.arguments.index("/t") + 1]
        data: Any = process.arguments[process.arguments.index("/d") + 1]
        number = next(each for each, word in TYPES.items() if word == kind)
        machine.registry.set(path, name or "", number, int(data, 0) if number == DWORD else data)
        _say(process, machine.say("The operation completed successfully."))
        return 0
    if "/s" in [each.lower() for each in process.arguments]:
        return _reg_below(process, path, name)
    key = machine.registry.find(path)
    if key is None or (name is not None and name.lower() not in key.values):
        text = machine.say("The system was unable to find the specified registry key or value.")
        _say(process, machine.say("ERROR: ") + text, error=True)
        return 1
    whole = re.sub(r"^HKLM", "HKEY_LOCAL_MACHINE", re.sub(r"^HKCU", "HKEY_CURRENT_USER", path))
    _say(process, "", whole)
    for own, kind_number, value in key.values.values():
        if name is None or own.lower() == name.lower():
            shown = _data(kind_number, value)
            _say(process, f"    {own}    {TYPES[kind_number]}    {shown}")
    _say(process, "", *(f"{whole}\\{each.name}" for each in key.keys.values()))
    return 0


def _reg_below(process: Process, path: str, name: str | None) -> int:
    """`reg query KEY /s [/v NAME]`: each key with what it has of that; a sentence at the end."""
    machine = process.machine
    whole = re.sub(r"^HKLM", "HKEY_LOCAL_MACHINE", re.sub(r"^HKCU", "HKEY_CURRENT_USER", path))
    key, found = machine.registry.find(path), 0
    waiting = [(whole, key)] if key else []
    while waiting:
        here, at = waiting.pop(0)
        values = [each for each in at.values.values() if name is None or each[0].lower() == name.lower()]
        if values:
            _say(process, "", here)
            _say(process, *(f"    {own}    {TYPES[kind]}    {_data(kind, data)}" for own, kind, data in values))
        found += len(values)
        waiting += [(f"{here}\\{each.name}", each) for each in at.keys.values()]
    _say(process, "", f"End of search: {found} match(es) found.")
    return 0 if found else 1


def _data(kind: int, value: Any) -> str:
    if kind == DWORD:
        return f"0x{value:x}"
    if kind == BINARY:
        return str(value.hex().upper())
    return "\\0".join(value) if kind == MULTI_SZ else str(value)


def setx(process: Process) -> int:
    """Writes plain text, whatever was there, and cuts it at 1024 characters with a warning and exit 0."""
    machine, (name, value) = process.machine, process.arguments[:2]
    if len(value) > 1024:
        value = value[:1024]
        text = machine.say("The data being saved is truncated to 1024 characters.")
        _say(process, "", machine.say("WARNING: ") + text)
    machine.registry.set(USER_ENVIRONMENT, name, SZ, value)
    _say(process, "", machine.say("SUCCESS: ") + machine.say("Specified value was saved."))
    return 0


# -- access
MASKS = {0x1F01FF: "F", 0x1301BF: "M", 0x1200A9: "RX", 0x120089: "R", 0x116: "WD,AD,WEA,WA"}
LETTERS = {"F": 0x1F01FF, "M": 0x1301BF, "RX": 0x1200A9, "R": 0x120089, "W": 0x120116, "D": 0x10000}


def _rights(ace: Ace) -> str:
    if ace.mask == 0x10000000:
        return "(F)"
    generic = ",".join(n for n, b in (("GR", 0x80000000), ("GE", 0x20000000), ("GW", 0x40000000)) if ace.mask & b)
    return f"({MASKS.get(ace.mapped, generic or hex(ace.mask))})"


def icacls(process: Process) -> int:
    machine, path, options = process.machine, process.arguments[0], process.arguments[1:]

    def summary(good: int, bad: int) -> None:
        _say(process, machine.say("Successfully processed {0} files; Failed processing {1} files", good, bad))

    def fail(sentence: str, code: int) -> int:
        _say(process, f"{path}: {machine.say(sentence)}", error=True)
        summary(0, 1)
        return code

    if not machine.drive.exists(path):
        return fail("The system cannot find the file specified.", 2)
    if "/save" in [each.lower() for each in options]:
        summary(looking.saved_access(process, path, options), 0)
        return 0
    found = machine.drive.descriptor(path)
    if not options:
        shown = [
            machine.shown(ace.sid)
            + ":"
            + "".join(f"({f})" for f in ("ID", "OI", "CI", "IO", "NP") if f in ace.flags).replace("(ID)", "(I)")
            + _rights(ace)
            for ace in found.aces
        ]
        _say(process, f"{path} {shown[0] if shown else ''}", *(" " * (len(path) + 1) + each for each in shown[1:]), "")
        summary(1, 0)
        return 0
    try:
        aces, protected = _granted(machine, found, options)
    except ValueError as problem:
        _say(process, f'Invalid parameter "{problem}"', error=True)
        return 87
    except OSError:
        return fail("No mapping between account names and security IDs was done.", 1332)
    try:
        sddl = security.render(security.Descriptor("", tuple(aces)), "P" if protected else "AI").replace("O:D", "D")
        machine.drive.set_descriptor(path, sddl, process.sids, restore=True)
    except OSError:
        return fail("Access is denied.", 5)
    _say(process, machine.say("processed file: {0}", path))
    summary(1, 0)
    return 0


def _granted(machine: Machine, found: security.Descriptor, options: list[str]) -> tuple[list[Ace], bool]:
    """The entries after icacls' options, and whether nothing comes from above any more.

    Raises ValueError for another option and OSError for a name that nobody has.
    """
    aces, protected = list(found.aces), found.protected
    while options:
        option, named = options.pop(0), []
        while options and not options[0].startswith("/"):
            named.append(options.pop(0))
        if option == "/inheritance:r":
            aces, protected = [ace for ace in aces if "ID" not in ace.flags], True
        elif option == "/remove:g":
            gone = [each.removeprefix("*") for each in named]
            aces = [ace for ace in aces if not (ace.allow and ace.sid in gone and "ID" not in ace.flags)]
        elif option in ("/grant", "/grant:r"):
            for each in named:
                who, _, rights = each.rpartition(":")
                sid = who[1:] if who.startswith("*") else machine.sid_of(who)
                flags = frozenset(re.findall(r"\((OI|CI|IO|NP)\)", rights))
                mask = LETTERS[re.findall(r"[A-Z]+", rights)[-1]]
                if option == "/grant:r":
                    aces = [a for a in aces if not (a.sid == sid and a.flags == flags)]
                aces.append(Ace(True, flags, mask, sid))
        else:
            raise ValueError(option)
    return aces, protected


# -- processes and sockets
def netstat(process: Process) -> int:
    """UDP rows have four fields; TIME_WAIT belongs to nobody."""
    machine = process.machine
    heads = ("Lokale Adresse", "Remoteadresse") if machine.language == "de" else ("Local Address", "Foreign Address")
    _say(process, "", machine.say("Active Connections"), "")
    _say(process, f"  Proto  {heads[0]:<23}{heads[1]:<23}{'Status' if machine.language == 'de' else 'State':<16}PID")
    family = process.arguments[-1] if "-p" in process.arguments else ""
    for proto, address, port, state, pid in machine.tools.sockets:
        if family and family != proto + ("v6" if ":" in address else ""):
            continue
        local = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        if proto == "UDP":
            _say(process, f"  UDP    {local:<22} {'*:*':<38} {pid}")
            continue
        far = ("[::]:0" if ":" in address else "0.0.0.0:0") if state == "LISTENING" else "100.64.0.9:51000"
        owner = 0 if state == "TIME_WAIT" else pid
        _say(process, f"  TCP    {local:<22} {far:<22} {machine.say(state):<15} {owner}")
    return 0


def tasklist(process: Process) -> int:
    machine = process.machine
    rows = [each for each in machine.processes.all.values() if each.alive and each is not process]
    if "/FI" in process.arguments:
        wanted = process.arguments[process.arguments.index("/FI") + 1]
        pid = re.fullmatch(r"PID eq (\d+)", wanted)
        rows = [each for each in rows if pid and each.pid == int(pid[1])]
    if not rows:
        _say(process, machine.say("INFO: ") + machine.say("No tasks are running which match the specified criteria."))
        return 0
    if "/NH" not in process.arguments:
        german = '"Abbildname","PID","Sitzungsname","Sitz.-Nr.","Speichernutzung"'
        _say(
            process, german if machine.language == "de" else '"Image Name","PID","Session Name","Session#","Mem Usage"'
        )
    memory = "5.500 K" if machine.language == "de" else "5,500 K"
    for each in rows:
        row = f'"{each.name}","{each.pid}","Services","{each.session}","{memory}"'
        more = f',"Unknown","{looking.account_of(each)}","0:00:01","{machine.say("N/A")}"'
        _say(process, row + (more if "/V" in process.arguments else ""))
    return 0


def taskkill(process: Process) -> int:
    """Children first; 128 for an unknown number, 1 for a refused one."""
    machine = process.machine
    pid = int(process.arguments[process.arguments.index("/PID") + 1])
    found = machine.processes.all.get(pid)
    if found is None or not found.alive:
        _say(process, machine.say("ERROR: ") + machine.say('The process "{0}" not found.', pid), error=True)
        return 128

    def end(each: Process, parent: int) -> int:
        code = 0
        if "/T" in process.arguments:
            for child in machine.processes.children(each.pid):
                code = end(child, each.pid) or code
        if each.pid in machine.tools.refused_pids or "/F" not in process.arguments:
            text = machine.say("The process with PID {0} could not be terminated.", each.pid)
            _say(process, machine.say("ERROR: ") + text, error=True)
            _say(process, machine.say("Reason: ") + machine.say("Access is denied."), "", error=True)
            return 1
        machine.processes.end(each, 1)
        said = "The process with PID {0} (child process of PID {1}) has been terminated."
        alone = "The process with PID {0} has been terminated."
        _say(process, machine.say("SUCCESS: ") + machine.say(said if parent else alone, each.pid, parent))
        return code

    return end(found, 0)


def connection_table(machine: Machine, size: int) -> tuple[int, int, list[tuple[int, int, int]]]:
    """GetExtendedTcpTable, listeners only: (error, size needed, [(state, port as it lies there, pid)])."""
    rows = []
    for proto, _, port, state, pid in machine.tools.sockets:
        if proto == "TCP" and state == "LISTENING":
            swapped = (port & 0xFF) << 8 | port >> 8
            rows.append((2, swapped | machine.dice.getrandbits(16) << 16, pid))
    needed = 4 + 24 * len(rows)
    if size < needed:
        if size:
            machine.tools.sockets.append(("TCP", "127.0.0.1", 5000, "LISTENING", 4))
        return 122, needed, []
    return 0, needed, rows


# -- others
def certutil(process: Process) -> int:
    machine, (_, path, name) = process.machine, process.arguments[:3]
    if not machine.drive.exists(path):
        _say(process, "CertUtil: -hashfile command FAILED: 0x80070002 (WIN32: 2 ERROR_FILE_NOT_FOUND)")
        return -2147024894
    if machine.drive.real(path).is_dir():  # assumed: as CreateFile refuses one
        _say(process, "CertUtil: -hashfile command FAILED: 0x80070005 (WIN32: 5 ERROR_ACCESS_DENIED)")
        return 0x80070005 - (1 << 32)
    digest = hashlib.new(name.lower(), machine.drive.read(path)).hexdigest()
    if machine.tools.old_certutil:
        _say(process, f"SHA256 hash of file {path}:", " ".join(re.findall("..", digest)))
    else:
        _say(process, machine.say("SHA256 hash of {0}:", path), digest)
    _say(process, machine.say("CertUtil: -hashfile command completed successfully."))
    return 0


def powercfg(process: Process) -> int:
    machine, words = process.machine, [each.lower() for each in process.arguments]
    settings = machine.tools.power
    if words[0] in ("/setacvalueindex", "/setdcvalueindex"):
        if words[3] not in settings:
            _say(process, 'Invalid Parameters -- try "/?" for help', error=True)
            return 1
        settings[words[3]][0 if words[0] == "/setacvalueindex" else 1] = int(words[4])
        return 0
    if words[0] == "/setactive":
        return 0
    setting = words[3] if len(words) > 3 else ""
    if setting not in settings:
        _say(process, 'Invalid Parameters -- try "/?" for help', error=True)
        return 1
    alternating, direct = settings[setting]
    balanced = "Ausbalanciert" if machine.language == "de" else "Balanced"
    _say(process, f"{machine.say('Power Scheme GUID')}: {BALANCED}  ({balanced})", "  GUID Alias: SCHEME_BALANCED")
    _say(
        process,
        f"  {machine.say('Subgroup GUID')}: {words[2]}  (x)",
        f"    {machine.say('Power Setting GUID')}: {setting}",
    )
    _say(process, "      Minimum Possible Setting: 0x00000000", "      Maximum Possible Setting: 0xffffffff")
    _say(process, f"    {machine.say('Current AC Power Setting Index')}: 0x{alternating:08x}")
    _say(process, f"    {machine.say('Current DC Power Setting Index')}: 0x{direct:08x}", "")
    return 0


def dism(process: Process) -> int:
    machine, words = process.machine, process.arguments
    if not machine.elevated:
        _say(process, "", machine.say("Error: 740"), "")
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
        _say(process, "", "Error: 0x800f080c", "")
        return 0x800F080C - (1 << 32)
    state = machine.tools.features[name]
    _say(process, "", f"Feature Name : {name}", f"State : {state}", "", "The operation completed successfully.")
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
        _say(process, "1234, explorer.exe, [N/A]" if "compute-apps" in query else card)
    return 0


def tar(process: Process) -> int:
    """`tar -xf x.zip -C dir`: files already unpacked stay when a locked one stops it."""
    machine, words = process.machine, process.arguments
    if words == ["--version"]:
        _say(process, "bsdtar 3.8.1 - libarchive 3.8.1 zlib/1.2.13.1-motley")
        return 0
    archive, into = words[words.index("-xf") + 1], words[words.index("-C") + 1]
    if not machine.drive.exists(into):
        _say(process, f"tar.exe: could not chdir to '{into}'", error=True)
        return 1
    with zipfile.ZipFile(machine.drive.real(archive)) as packed:
        for name in packed.namelist():
            target = f"{into}\\{name}"
            if machine.drive.exists(target) and machine.drive.is_open(target):
                _say(process, f"tar.exe: {name}: Can't unlink already-existing object", error=True)
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
