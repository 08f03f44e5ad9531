"""cmd.exe's own commands: what `echo`, `dir`, `if`, `for` and their like do, each in the shell that reads it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .cmdline import Command, expanded, words
from .drive import translated
from .processes import Ended
from .scheduler import split

if TYPE_CHECKING:
    from .cmd import Shell

VERSION = "Microsoft Windows [Version 10.0.26100.1]"
NO_PATH = "The system cannot find the path specified."
NO_FILE = "The system cannot find the file specified."
EXISTS = "A subdirectory or file {0} already exists."
Sink = Callable[[bytes], None]


def _echo(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    sinks[0]((rest + "\r\n").encode(shell.machine.oem, "replace"))
    return shell.code


def _ver(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    sinks[0](f"\r\n{VERSION}\r\n".encode())
    return 0


def _exit(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    code = rest.lower().removeprefix("/b").strip()
    shell.machine.processes.end(shell.process, int(code or shell.code) & 0xFFFFFFFF)
    raise Ended


def _cd(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    rest = (rest.lower().startswith("/d ") and rest[3:].strip()) or rest
    if not rest:
        return _echo(shell, shell.folder, sinks)
    wanted = shell.full(rest)
    if not shell.machine.drive.real(wanted).is_dir():
        return shell.complain(NO_PATH, into=sinks[1])
    shell.folder = wanted
    return 0


def _set(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    rest = rest.strip('"')
    name, equals, value = rest.partition("=")
    if equals:
        shell.variables.pop(name.upper(), None)
        if value:
            shell.variables[name.upper()] = value
        return 0
    shown = [f"{key}={text}\r\n" for key, text in sorted(shell.variables.items()) if key.startswith(rest.upper())]
    sinks[0]("".join(shown).encode(shell.machine.oem, "replace"))
    return 0 if shown else 1


def _type(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    path = shell.full(rest)
    if not shell.machine.drive.real(path).is_file():
        return shell.complain(NO_FILE, into=sinks[1])
    sinks[0](shell.machine.drive.read(path))
    return 0


def _dir(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    """As `dir /b`: names alone."""
    options = [each for each in split(rest) if not each.startswith("/")]
    path = shell.full(options[0]) if options else shell.folder
    if not shell.machine.drive.exists(path):
        return shell.complain("File Not Found", into=sinks[1])
    real = shell.machine.drive.real(path)
    names = sorted(each.name for each in real.iterdir()) if real.is_dir() else [real.name]
    sinks[0]("".join(f"{each}\r\n" for each in names).encode(shell.machine.oem, "replace"))
    return 0


def _mkdir(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    path = shell.full(rest)
    if shell.machine.drive.exists(path):
        return shell.complain(EXISTS, rest.strip('"'), into=sinks[1])
    shell.machine.drive.make(path)
    return 0


def _delete(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    options = [each.lower() for each in split(rest) if each.startswith("/")]
    for each in (each for each in split(rest) if not each.startswith("/")):
        path, drive = shell.full(each), shell.machine.drive
        if not drive.exists(path):
            return shell.complain(NO_FILE, into=sinks[1])
        try:
            if "/s" in options and drive.real(path).is_dir():
                if drive.is_open(path):
                    return shell.complain("Access is denied.", into=sinks[1])
                drive.wipe(path)
            else:
                drive.delete(path, shell.process.sids)
        except OSError as problem:
            said = translated(problem, path) if not hasattr(problem, "winerror") else problem
            return shell.complain(f"{said.strerror}.", into=sinks[1])
    return 0


def _copy(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    source, target = (shell.full(each) for each in [each for each in split(rest) if not each.startswith("/")][:2])
    drive = shell.machine.drive
    if not drive.real(source).is_file():
        return shell.complain(NO_FILE, into=sinks[1])
    if drive.real(target).is_dir():
        target = f"{target}\\{source.rpartition(chr(92))[2]}"
    drive.write(target, drive.read(source))
    return 0


def _move(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    source, target = (shell.full(each) for each in [each for each in split(rest) if not each.startswith("/")][:2])
    try:
        shell.machine.drive.move(source, target, shell.process.sids, replacing=True)
    except OSError as problem:
        return shell.complain(f"{problem.strerror}.", into=sinks[1])
    return 0


def _if(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    """`if [not] exist PATH COMMAND`."""
    negated = rest.lower().startswith("not ")
    rest = rest[4:].lstrip() if negated else rest
    if not rest.lower().startswith("exist "):
        return shell.complain("The syntax of the command is incorrect.", into=sinks[1])
    path, command = words(rest[6:].lstrip())
    there = shell.machine.drive.exists(shell.full(path))
    return shell.one(Command("", command.strip("() ")), None, sinks[0]) if there != negated else 0


def _call(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    """Reads the line once more: `call echo %^ERRORLEVEL%` is how a line says the code of what ran before on it."""
    code = shell.code - (1 << 32) if shell.code >= 1 << 31 else shell.code
    return shell.one(Command("", expanded(rest, {**shell.variables, "ERRORLEVEL": str(code)})), None, sinks[0])


def _for(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    """`for /f %i in ('COMMAND') do COMMAND`: once for each line of what the first one says, with its first word."""
    read = re.fullmatch(r"/f %(\w) in \('(.+?)'\) do (.+?)\)?", rest, re.IGNORECASE)
    if not read:
        return shell.complain("The syntax of the command is incorrect.", into=sinks[1])
    said = bytearray()
    shell.one(Command("", read[2]), None, said.extend)
    for line in said.decode(shell.machine.oem).splitlines():
        if line.strip():
            shell.code = shell.one(Command("", read[3].replace(f"%{read[1]}", line.split()[0])), None, sinks[0])
    return shell.code


def _nothing(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    return 0


BUILT_IN: dict[str, Callable[[Shell, str, list[Sink]], int]] = {
    **{"echo": _echo, "ver": _ver, "exit": _exit, "cd": _cd, "chdir": _cd, "set": _set, "type": _type, "dir": _dir},
    **{"mkdir": _mkdir, "md": _mkdir, "rmdir": _delete, "rd": _delete, "del": _delete, "erase": _delete},
    **{"copy": _copy, "move": _move, "if": _if, "call": _call, "for": _for, "rem": _nothing, "title": _nothing},
}
