"""cmd.exe on a batch file: what scripts/bootstrap.cmd uses of it, by the documented rules, with their traps.

Percent signs are expanded when a line or a whole block is read, before it is run; an unquoted `& | < > ( )` counts
wherever it stands; an undefined variable is nothing, and with a modifier leaves the modifier's text; `set` in a .cmd
file sets ERRORLEVEL to 0. What is not known here fails the test.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .batchsyntax import Block, Choice, For, If, Node, Parser, Pipe, Sequence, Simple, expanded

if TYPE_CHECKING:
    from .processes import Process

MAX_LINE = 8191
Writer = Callable[[bytes], None]


class Streams(NamedTuple):
    given: bytes
    out: Writer
    err: Writer


class Leave(Exception):
    """exit /b"""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Goto(Exception):
    """goto :label"""


@dataclass
class Frame:
    """One call of the script or of a label of it."""

    arguments: list[str]
    at: int = 0
    loops: dict[str, str] = field(default_factory=dict)  # what `%%a` is just now


def words_of(text: str) -> list[str]:
    """A command line as a C program gets it."""
    found, word, quoted, begun = [], "", False, False
    for character in text:
        if character == '"':
            quoted, begun = not quoted, True
        elif character in " \t" and not quoted:
            if begun:
                found.append(word)
            word, begun = "", False
        else:
            word, begun = word + character, True
    return [*found, word] if begun else found


def split(text: str) -> list[str]:
    """A command line as cmd gives it to %1, %2: quotes stay; `, ; =` part words like blanks."""
    return re.findall(r'(?:"[^"]*"?|[^\s,;="])+', text)


class Batch:
    """One run of a batch file."""

    def __init__(self, process: Process, path: str, arguments: list[str], typed: bytes = b"") -> None:
        self.process, self.machine, self.path = process, process.machine, path
        self.lines = self._read(path)
        self.variables = dict(process.environment)
        self.level = 0
        self.typed = typed.decode("ascii").splitlines()
        self.frames = [Frame([path, *arguments])]

    def _read(self, path: str) -> list[str]:
        """cmd loses its place at labels of files whose lines end otherwise, and shows other characters wrongly."""
        raw = self.machine.drive.read(path)
        assert raw.isascii(), "a batch file is read in the OEM page: only ASCII is the same everywhere"
        assert raw.endswith(b"\r\n"), "the last line is cut"
        assert raw.count(b"\n") == raw.count(b"\r\n"), "labels are not found in a file with bare line feeds"
        return raw.decode("ascii").split("\r\n")

    def main(self) -> int:
        def out(data: bytes) -> None:
            self.process.say(data)

        def err(data: bytes) -> None:
            self.process.say(data, True)

        return self._frame(Streams(b"", out, err))

    # -- lines
    def _frame(self, streams: Streams) -> int:
        """Run until the end of the file or `exit /b`."""
        frame = self.frames[-1]
        try:
            while frame.at < len(self.lines):
                node = self._next(frame)
                try:
                    if node is not None:
                        self._run(node, streams)
                except Goto as goto:
                    frame.loops.clear()
                    frame.at = self._label(str(goto), frame.at)
        except Leave as leave:
            self.level = leave.code
        return self.level

    def _next(self, frame: Frame) -> Node | None:
        """The next line, or as many as its parentheses need, parsed with today's values."""

        def line() -> str:
            assert frame.at < len(self.lines), "a parenthesis is not closed"
            text = expanded(self.lines[frame.at], self._value, frame.arguments, self.path)
            assert len(text) <= MAX_LINE, "cmd reads no longer line"
            frame.at += 1
            return text

        first = self.lines[frame.at].lstrip()
        if not first or first.startswith(":"):
            frame.at += 1
            return None
        return Parser(line).parsed()

    def _label(self, name: str, at: int) -> int:
        """Searched from here to the end, then from the beginning."""
        wanted = name.lstrip(":").lower()
        numbers: list[int] = [*range(at, len(self.lines)), *range(at)]
        for number in numbers:
            text = self.lines[number].strip().lower()
            if text.startswith(":") and re.split(r"[\s:+,;=]", text[1:])[0] == wanted:
                return number + 1
        raise AssertionError(f"there is no label {name}")

    def _value(self, name: str) -> str | None:
        if name.upper() == "ERRORLEVEL":
            return str(self.level)
        return self.variables.get(name.upper())

    def _looped(self, text: str) -> str:
        """`%a` and `%~a` of the loops around."""

        def value(match: re.Match[str]) -> str:
            found = self.frames[-1].loops.get(match[2])
            if found is None:
                return match[0]
            return found.strip('"') if match[1] else found

        return re.sub(r"%(~?)([A-Za-z])", value, text)

    # -- nodes
    def _run(self, node: Node, streams: Streams) -> int:
        runners: dict[type, Callable[..., int]] = {
            Sequence: self._sequence,
            Choice: self._choice,
            Pipe: self._pipe,
            Block: self._block,
            If: self._if,
            For: self._for,
            Simple: self._simple,
        }
        code: int = runners[type(node)](node, streams)
        return code

    def _sequence(self, node: Sequence, streams: Streams) -> int:
        code = self.level
        for each in node.nodes:
            code = self._run(each, streams)
        return code

    def _choice(self, node: Choice, streams: Streams) -> int:
        code = self._run(node.first, streams)
        if (code == 0) == (node.sign == "&&"):
            code = self._run(node.second, streams)
        return code

    def _pipe(self, node: Pipe, streams: Streams) -> int:
        """Both sides are processes of their own: what they set is lost."""
        carried = bytearray()
        kept = dict(self.variables)
        self._run(node.left, streams._replace(out=carried.extend))
        code = self._run(node.right, streams._replace(given=bytes(carried)))
        assert self.variables == kept, "what a side of a pipe sets is lost"
        return code

    def _block(self, node: Block, streams: Streams) -> int:
        return self._run(node.body, self._redirected(node.redirections, streams))

    def _if(self, node: If, streams: Streams) -> int:
        if self._holds(node) != node.negated:
            return self._run(node.then, streams)
        return self._run(node.otherwise, streams) if node.otherwise else self.level

    def _full(self, path: str) -> str:
        """The current folder is the user's."""
        return path if path[1:2] == ":" else rf"C:\Users\{self.machine.user}\{path}"

    def _holds(self, node: If) -> bool:
        left, right = self._looped(node.left), self._looped(node.right)
        if node.test == "defined":
            return self._value(left) is not None
        if node.test == "exist":
            return self.machine.drive.exists(self._full(left.strip('"')))
        if node.test == "errorlevel":
            return self.level >= int(left)
        if node.test == "==":
            return left.lower() == right.lower() if node.ignoring_case else left == right
        numbers = {"geq": int.__ge__, "leq": int.__le__, "neq": int.__ne__, "equ": int.__eq__}
        return bool(numbers[node.test](int(left), int(right)))

    def _for(self, node: For, streams: Streams) -> int:
        loops, code = self.frames[-1].loops, self.level
        before = dict(loops)
        for values in self._rounds(node, streams):
            loops.update(values)
            code = self._run(node.body, streams)
        loops.clear()
        loops.update(before)
        return code

    def _rounds(self, node: For, streams: Streams) -> list[dict[str, str]]:
        source = self._looped(node.source.strip())
        if not node.parsing:
            return [{node.letter: each} for each in split(source)]
        options = dict(re.findall(r"(eol|delims|tokens)=(\S*)", node.options))
        if "delims=" in node.options:  # it may hold a blank, and is the last
            options["delims"] = node.options.partition("delims=")[2]
        lines = self._lines(source, "usebackq" in node.options, streams)
        rounds = [self._tokens(line, node.letter, options) for line in lines]
        return [each for each in rounds if each]

    def _lines(self, source: str, backquotes: bool, streams: Streams) -> list[str]:
        kind, inner = source[0], source[1:-1]
        if kind == "'" and not backquotes:
            carried = bytearray()
            self._run(Parser(iter([inner]).__next__).parsed(), streams._replace(out=carried.extend))
            return carried.decode(self.machine.oem).splitlines()
        if kind == '"' and not backquotes:
            return [inner]
        if not self.machine.drive.exists(inner):
            self._complain(streams, "The system cannot find the file specified.")
            return []
        return self.machine.drive.read(inner).decode(self.machine.oem).splitlines()

    @staticmethod
    def _tokens(line: str, letter: str, options: dict[str, str]) -> dict[str, str]:
        """A line that begins with the eol character is left out; so is one that holds nothing but delimiters.

        Delimiters at its beginning go first: a line that goes on with the eol character after them is left out, too.
        """
        delimiters = options.get("delims", " \t")
        begun = line.lstrip(delimiters) if delimiters else line
        if not begun or begun[0] == options.get("eol", ";"):
            return {}
        wanted = options.get("tokens", "1")
        numbers = [int(each) for each in re.findall(r"\d+", wanted)]
        rest, found = line, []
        for _ in range(max(numbers)):
            rest = rest.lstrip(delimiters) if delimiters else rest
            length = next((at for at, each in enumerate(rest) if each in delimiters), len(rest))
            found.append(rest[:length])
            rest = rest[length:]
        values = [found[number - 1] for number in numbers]
        if not values[0]:
            return {}
        if wanted.endswith("*"):
            values.append(rest.lstrip(delimiters))
        return {chr(ord(letter) + offset): value for offset, value in enumerate(values)}

    # -- commands
    def _simple(self, node: Simple, streams: Streams) -> int:
        streams = self._redirected(node.redirections, streams)
        text = self._looped(node.text).strip(" \t") if not node.text.startswith("echo") else self._looped(node.text)
        name = re.split(r"[\s(/.=]", text, maxsplit=1)[0].lower() if text[:1] != '"' else ""
        inner: dict[str, Callable[[str, Streams], int]] = {
            "echo": self._echo,
            "set": self._set,
            "setlocal": lambda _text, _streams: 0,
            "goto": self._goto,
            "call": self._call,
            "exit": self._exit,
            "type": self._type,
            "del": self._del,
            "dir": self._dir,
            "md": self._md,
            "start": self._start,
            "rem": lambda _text, _streams: self.level,
        }
        if name not in inner:
            self.level = self._program(text, streams)
            return self.level
        code = inner[name](text[len(name) :], streams)
        if name in ("set", "call", "type", "start", "del", "dir", "md"):
            self.level = code
        return code

    def _redirected(self, redirections: list[tuple[int, str, str]], streams: Streams) -> Streams:
        for number, sign, target in redirections:
            place = self._looped(target).strip('"')
            writer: Writer
            if place.startswith("&"):
                writer = {"&1": streams.out, "&2": streams.err}[place]
            elif place.lower() == "nul":
                writer = _nowhere
            else:
                if sign == ">":
                    self.machine.drive.write(place, b"")
                writer = self._appender(place)
            streams = streams._replace(out=writer) if number == 1 else streams._replace(err=writer)
        return streams

    def _appender(self, path: str) -> Writer:
        def append(data: bytes) -> None:
            before = self.machine.drive.read(path) if self.machine.drive.exists(path) else b""
            self.machine.drive.write(path, before + data)

        return append

    def _complain(self, streams: Streams, sentence: str) -> None:
        streams.err(f"{self.machine.say(sentence)}\r\n".encode(self.machine.oem, "replace"))

    def _echo(self, text: str, streams: Streams) -> int:
        if text.strip().lower() != "off":
            assert text, "a bare echo tells whether echo is on"
            streams.out(f"{text[1:]}\r\n".encode(self.machine.oem))
        return 0

    def _set(self, text: str, _streams: Streams) -> int:
        switch = text.strip()[:2].lower()
        if switch == "/a":
            name, by = text.strip()[2:].strip().split("+=")
            self._put(name, str(int(self._value(name) or "0") + int(by)))
            return 0
        assignment = (text.strip()[2:] if switch == "/p" else text).strip()
        quoted = re.fullmatch(r'"(.*)"[^"]*', assignment)
        name, _, value = (quoted[1] if quoted else assignment).partition("=")
        if switch != "/p":
            self._put(name, value)
            return 0
        self.process.say(value)
        if not self.typed:
            return 1
        self._put(name, self.typed.pop(0))
        return 0

    def _put(self, name: str, value: str) -> None:
        self.variables.pop(name.upper(), None)
        if value:
            self.variables[name.upper()] = value

    def _goto(self, text: str, _streams: Streams) -> int:
        raise Goto(text.strip())

    def _exit(self, text: str, _streams: Streams) -> int:
        words = text.split()
        assert words[0].lower() == "/b", "`exit` alone closes the console"
        raise Leave(int(words[1]) if len(words) > 1 else self.level)

    def _call(self, text: str, streams: Streams) -> int:
        """A label: its own arguments, its own end. Anything else: expanded once more, then run."""
        text = text.strip().replace("^", "^^")
        if not text.startswith(":"):
            again = expanded(text, self._value, self.frames[-1].arguments, self.path)
            return self._run(Parser(iter([again]).__next__).parsed(), streams)
        label, *arguments = split(text)
        frame = Frame([label, *arguments], at=self._label(label, self.frames[-1].at))
        self.frames.append(frame)
        try:
            return self._frame(streams)
        finally:
            self.frames.pop()

    def _type(self, text: str, streams: Streams) -> int:
        path = text.strip().strip('"')
        if path.lower() != "nul":
            if not self.machine.drive.exists(path):
                self._complain(streams, "The system cannot find the file specified.")
                return 1
            streams.out(self.machine.drive.read(path))
        return 0

    def _del(self, text: str, _streams: Streams) -> int:
        path = next(each for each in words_of(text) if not each.startswith("/"))
        if self.machine.drive.exists(path):
            self.machine.drive.delete(path, self.process.sids)
        return 0

    def _dir(self, text: str, streams: Streams) -> int:
        """`dir /b /a FOLDER`: the names of all that is in it; /al: only links. 1 when there is none."""
        bare, kind, folder = words_of(text)
        assert bare.lower() == "/b"
        assert kind.lower() in ("/a", "/al"), "without /a what is hidden is not told"
        real = self.machine.drive.real(folder)
        found = sorted(each.name for each in real.iterdir()) if real.is_dir() else []
        names = [each for each in found if kind.lower() == "/a" or (real / each).is_symlink()]
        streams.out("".join(f"{each}\r\n" for each in names).encode(self.machine.oem))
        if not names:
            self._complain(streams, "File Not Found")
        return 0 if names else 1

    def _md(self, text: str, streams: Streams) -> int:
        (path,) = words_of(text)
        if self.machine.drive.exists(path):
            streams.err(f"{self.machine.say('A subdirectory or file {0} already exists.', path)}\r\n".encode("cp850"))
            return 1
        self.machine.drive.make(path)
        return 0

    def _start(self, text: str, streams: Streams) -> int:
        """Only /wait gives the exit code; the first quoted word is a window's title."""
        title, switch, *_ = words_of(text)
        assert (title, switch.lower()) == ("", "/wait"), "without /wait the exit code is lost"
        return self._program(re.split(r"/wait\s+", text, flags=re.IGNORECASE)[1], streams)

    def _program(self, text: str, streams: Streams) -> int:
        name, *arguments = words_of(text)
        image = self._found(name)
        if image is None:
            said = f"'{name}' is not recognized as an internal or external command,"
            streams.err(f"{said}\r\noperable program or batch file.\r\n".encode(self.machine.oem))
            return 9009
        environment = {**self.variables}
        child = self.machine.processes.start(
            [image, *arguments], self.process, environment, given=streams.given, has_input=bool(streams.given)
        )
        assert child.ended.wait(20), f"{name} does not end"
        streams.out(bytes(child.out))
        streams.err(bytes(child.err))
        return child.code or 0

    def _found(self, name: str) -> str | None:
        """By its path, or along PATH. The current folder is searched first, unless a variable forbids it."""
        assert self._value("NoDefaultCurrentDirectoryInExePath"), "whoever may write to this folder would run as us"
        places = [""] if "\\" in name else [f"{each}\\" for each in (self._value("PATH") or "").split(";") if each]
        for place in places:
            for ending in ("", ".exe"):
                path = f"{place}{name}{ending}"
                if self.machine.drive.key(path) in self.machine.processes.programs:
                    return path
        return None


def _nowhere(_data: bytes) -> None:
    """nul"""
