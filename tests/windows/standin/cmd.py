"""cmd.exe: its own commands, and other programs by PATH; every descendant in the job of the session that it has."""

from __future__ import annotations

import threading
from typing import Any

from .builtin import BUILT_IN, NO_FILE, NO_PATH, Sink
from .cmdline import LONGEST, Command, expanded, parsed, unquoted, words
from .pipes import Pipe
from .processes import Ended, Process
from .scheduler import split

ENDINGS = (".com", ".exe", ".bat", ".cmd")
TOO_LONG = "The command line is too long."
NOT_FOUND = "'{0}' is not recognized as an internal or external command,\r\noperable program or batch file."


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
                codes[index] = self.one(chain[index], inputs[index], after.feed if after else self.out)
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

    def one(self, command: Command, given: Pipe | None, out: Sink) -> int:
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
