"""Small programs that only a session of a person or a test asks for."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .cmd import Shell, cmd

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process


def install(machine: Machine) -> None:
    """Put them into System32."""
    programs: dict[str, Callable[[Process], int]] = {
        **{"cmd": cmd, "whoami": whoami, "hostname": hostname, "findstr": findstr, "ping": ping, "more": more},
        "where": where,
    }
    for name, program in programs.items():
        machine.processes.install(rf"C:\Windows\System32\{name}.exe", program)
    machine.processes.install(r"C:\Windows\System32\chcp.com", chcp)
    machine.processes.install(r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe", powershell)
    machine.processes.install(r"C:\Program Files\Git\bin\bash.exe", bash)


def powershell(process: Process) -> int:
    """As a login shell only: its profile speaks first, and of an exit code it passes on whether it was zero."""
    process.say(process.machine.profile_line)
    text = process.arguments[-1]
    quoted = text.startswith('"') and text.endswith('"')
    return 1 if Shell(process).run(text[1:-1] if quoted else text) else 0


def bash(process: Process) -> int:
    """As a login shell only: a backslash shields the next sign and goes; of an exit code eight bits are left."""
    text = process.arguments[-1]
    quoted = text.startswith('"') and text.endswith('"')
    line = re.sub(r"\\(.)", r"\1", text[1:-1] if quoted else text)
    shell = Shell(process)
    name = line.split(" ")[0]
    if not shell.is_program(name):
        process.say(f"bash: line 1: {name}: command not found\n", error=True)
        return 127
    return shell.run(line.replace("/", "\\", name.count("/"))) & 0xFF


def whoami(process: Process) -> int:
    machine = process.machine
    if "/groups" in [each.lower() for each in process.arguments]:
        for sid in sorted(process.sids):
            process.say(f"{machine.shown(sid) if sid in machine.accounts else sid} {sid}\r\n".encode(machine.oem))
        return 0
    own = next((each for each in process.sids if each == "S-1-5-18" or each.startswith("S-1-5-21-")), "S-1-5-18")
    name = machine.shown(own).lower()
    options = [each.lower() for each in process.arguments]
    if options and options != ["/user", "/fo", "csv", "/nh"]:
        return 1
    process.say((f'"{name}","{own}"\r\n' if options else f"{name}\r\n").encode(machine.oem))
    return 0


def hostname(process: Process) -> int:
    process.say("APEX\r\n")
    return 0


def chcp(process: Process) -> int:
    german = process.machine.language == "de"
    process.say(f"{'Aktive Codepage' if german else 'Active code page'}: {process.machine.oem[2:]}\r\n")
    return 0


def findstr(process: Process) -> int:
    """Lines of its input that hold one of the words, or of the texts after /C:; /R takes expressions, /E line ends."""
    options = [each for each in process.arguments if each.startswith("/")]
    texts = [each[3:] for each in options if each.lower().startswith("/c:")]
    words = [each for each in process.arguments if not each.startswith("/")]
    switches = {each.lower() for each in options}
    wanted = texts or words[0].split()
    pattern = "|".join(f"(?:{each if '/r' in switches else re.escape(each)})" for each in wanted)
    pattern = f"(?:{pattern})$" if "/e" in switches else pattern
    found = 1
    for line in process.input().read().splitlines():
        if re.search(pattern.encode(), line, re.IGNORECASE if "/i" in switches else 0):
            process.say(line + b"\r\n")
            found = 0
    return found


def more(process: Process) -> int:
    """Passes on what comes in."""
    for block in iter(lambda: process.input().take(4096), b""):
        process.say(block)
    return 0


def ping(process: Process) -> int:
    """`ping -n 30 127.0.0.1`: the usual way to wait."""
    words = process.arguments
    times = int(words[words.index("-n") + 1]) if "-n" in words else 4
    for number in range(times):
        process.say(f"Reply from {words[-1]}: bytes=32 time<1ms TTL=128\r\n")
        if number + 1 < times:
            process.ended.wait(1)
            process.check()
    return 0


def where(process: Process) -> int:
    found = Shell(process).found(process.arguments[0])
    if found is None:
        process.say("INFO: Could not find files for the given pattern(s).\r\n", error=True)
        return 1
    process.say(f"{found}\r\n")
    return 0
