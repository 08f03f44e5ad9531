"""cmd.exe: its own commands, and other programs by PATH; every descendant in the job of the session that it has."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from .cmdline import LONGEST, Command, expanded, parsed, unquoted, words
from .drive import translated
from .pipes import Pipe
from .processes import Ended, Process
from .scheduler import split

VERSION = "Microsoft Windows [Version 10.0.26100.1]"
ENDINGS = (".com", ".exe", ".bat", ".cmd")
TOO_LONG = "The command line is too long."
NO_PATH = "The system cannot find the path specified."
NO_FILE = "The system cannot find the file specified."
EXISTS = "A subdirectory or file {0} already exists."
NOT_FOUND = "'{0}' is not recognized as an internal or external command,\r\noperable program or batch file."
Sink = Callable[[bytes], None]


def cmd(process: Process) -> int:
    """`cmd.exe /d /s /c text`."""
    shell = Shell(process)
    options = list(process.arguments)
    while options and options[0].lower() in ("/d", "/s", "/q", "/a", "/u"):
        options.pop(0)
    if not options or options[0].lower() not in ("/c", "/k"):
        shell.err(b"")  # an interactive one has no use here
        return 1
    line = " ".join(options[1:])
    if len(line) + len(process.image) + len('"" /c ') > LONGEST:
        shell.complain(TOO_LONG)
        return 1
    return shell.run(unquoted(line, shell.is_program))


class Shell:
    """One cmd.exe: its folder, its variables, the code of its last command."""

    def __init__(self, process: Process) -> None:
        self.process, self.machine = process, process.machine
        self.folder = process.environment.get("USERPROFILE", r"C:\Windows\System32")
        self.variables = {name.upper(): value for name, value in process.environment.items()}
        self.code = 0

    def out(self, data: bytes) -> None:
        self.process.say(data)

    def err(self, data: bytes) -> None:
        self.process.say(data, error=True)

    def complain(self, sentence: str, *values: object, into: Sink | None = None) -> int:
        said = self.machine.say(sentence, *values)
        (into or self.err)((said + "\r\n").encode(self.machine.oem, "replace"))
        return 1

    def full(self, path: str) -> str:
        path = path.strip('"').replace("/", "\\")
        if path[1:2] == ":":
            return path
        return "C:" + path if path.startswith("\\") else f"{self.folder}\\{path}".rstrip("\\")

    # -- a line
    def run(self, line: str) -> int:
        """All commands of the line; the code of the last one that ran."""
        commands = parsed(expanded(line, self.variables))
        at = 0
        while at < len(commands):
            end = at + 1
            while end < len(commands) and commands[end].before == "|":
                end += 1
            before = commands[at].before
            if not (before == "&&" and self.code) and not (before == "||" and not self.code):
                self.code = self._piped(commands[at:end])
            self.process.check()
            at = end
        return self.code

    def _piped(self, chain: list[Command]) -> int:
        """Commands joined by |, all at once, each with what the one before says as its input."""
        inputs: list[Pipe | None] = [None, *(Pipe() for _ in chain[1:])]
        codes = [0] * len(chain)

        def run(index: int) -> None:
            after = inputs[index + 1] if index + 1 < len(chain) else None
            self.machine.running.process = self.process
            try:
                codes[index] = self._one(chain[index], inputs[index], after.feed if after else self.out)
            except Ended:
                pass
            finally:
                if after:
                    after.end()

        threads = [threading.Thread(target=run, args=(each,), daemon=True) for each in range(len(chain) - 1)]
        for thread in threads:
            thread.start()
        run(len(chain) - 1)
        return codes[-1]

    def _one(self, command: Command, given: Pipe | None, out: Sink) -> int:
        sinks: list[Sink] = [out, self.err]
        for stream, kind, target in command.redirects:
            if kind == "<":
                path = self.full(target)
                if not self.machine.drive.exists(path):
                    return self.complain(NO_FILE)
                given = Pipe(self.machine.drive.read(path))
            elif kind.endswith("&"):
                sinks[stream - 1] = sinks[int(target[0]) - 1]
            elif target.lower() == "nul":
                sinks[stream - 1] = lambda _: None
            else:
                made = self._file(self.full(target), append=kind == ">>")
                if made is None:
                    return self.complain(NO_PATH)
                sinks[stream - 1] = made
        name, rest = words(command.text.removeprefix("@"))
        own = BUILT_IN.get(name.lower().partition(".")[0]) if "\\" not in name else None
        if name.lower().startswith("echo."):
            own, rest = BUILT_IN["echo"], command.text[5:]
        if own:
            return own(self, rest, sinks)
        return self._program(name, rest, given, sinks)

    def _file(self, path: str, append: bool) -> Sink | None:
        """Where `>` goes: the file is there from the beginning."""
        drive = self.machine.drive
        if not drive.exists(path.rpartition("\\")[0]):
            return None
        drive.write(path, drive.read(path) if append and drive.exists(path) else b"")
        real = drive.real(path)

        def write(data: bytes) -> None:
            with real.open("ab") as file:
                file.write(data)

        return write

    # -- programs
    def is_program(self, name: str) -> bool:
        return self.found(name) is not None

    def found(self, name: str) -> str | None:
        """The full path of a program by PATH and the known endings."""
        path = self.variables.get("PATH", "")
        folders = [""] if "\\" in name or name[1:2] == ":" else [self.folder, *path.split(";")]
        for folder in folders:
            base = self.full(f"{folder.strip()}\\{name}" if folder.strip() else name)
            if folders != [""] and not folder.strip():
                continue
            endings = ("",) if base.lower().endswith(ENDINGS) else ENDINGS
            for ending in endings:
                if self._is_file(base + ending):
                    return base + ending
        return None

    def _is_file(self, path: str) -> bool:
        try:
            return self.machine.drive.real(path).is_file()
        except OSError:  # longer than any name can be
            return False

    def _program(self, name: str, rest: str, given: Pipe | None, sinks: list[Sink]) -> int:
        image = self.found(name)
        if image is None:
            folder = self.full(name).rpartition("\\")[0]
            missing = "\\" in name and not self.machine.drive.exists(folder)
            return self.complain(NO_PATH, into=sinks[1]) if missing else self.complain(NOT_FOUND, name, into=sinks[1])
        more: dict[str, Any] = {"stdin": given or self.process.input(), "has_input": True, "sinks": list(sinks)}
        last = image.rpartition("\\")[2].lower()
        arguments = [rest] if last == "cmd.exe" else split(rest)
        if last == "cmd.exe":  # it reads its line itself
            switches, found, text = rest.partition("/c")
            arguments = [*switches.split(), found, text.strip()]
        try:
            started = self.machine.processes.start(
                [image, *arguments], parent=self.process, environment=self.variables, **more
            )
        except OSError as problem:
            sinks[1](f"{image}: {problem.strerror}\r\n".encode(self.machine.oem, "replace"))
            return 1
        while not started.ended.wait(0.05):
            self.process.check()
        return started.code or 0


# -- cmd.exe's own commands
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
    return shell._one(Command("", command.strip("() ")), None, sinks[0]) if there != negated else 0


def _call(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    """Reads the line once more: `call echo %^ERRORLEVEL%` is how a line says the code of what ran before on it."""
    code = shell.code - (1 << 32) if shell.code >= 1 << 31 else shell.code
    return shell._one(Command("", expanded(rest, {**shell.variables, "ERRORLEVEL": str(code)})), None, sinks[0])


def _for(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    """`for /f %i in ('COMMAND') do COMMAND`: once for each line of what the first one says, with its first word."""
    read = re.fullmatch(r"/f %(\w) in \('(.+?)'\) do (.+?)\)?", rest, re.IGNORECASE)
    if not read:
        return shell.complain("The syntax of the command is incorrect.", into=sinks[1])
    said = bytearray()
    shell._one(Command("", read[2]), None, said.extend)
    for line in said.decode(shell.machine.oem).splitlines():
        if line.strip():
            shell.code = shell._one(Command("", read[3].replace(f"%{read[1]}", line.split()[0])), None, sinks[0])
    return shell.code


def _nothing(shell: Shell, rest: str, sinks: list[Sink]) -> int:
    return 0


BUILT_IN: dict[str, Callable[[Shell, str, list[Sink]], int]] = {
    **{"echo": _echo, "ver": _ver, "exit": _exit, "cd": _cd, "chdir": _cd, "set": _set, "type": _type, "dir": _dir},
    **{"mkdir": _mkdir, "md": _mkdir, "rmdir": _delete, "rd": _delete, "del": _delete, "erase": _delete},
    **{"copy": _copy, "move": _move, "if": _if, "call": _call, "for": _for, "rem": _nothing, "title": _nothing},
}
