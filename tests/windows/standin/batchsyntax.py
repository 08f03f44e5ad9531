"""How cmd.exe reads a batch file: percent signs first, then quotes, carets, redirections and parentheses."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Callable
from dataclasses import dataclass, field

Redirection = tuple[int, str, str]  # which stream, ">" or ">>", where to


@dataclass
class Simple:
    text: str
    redirections: list[Redirection]


@dataclass
class Sequence:
    nodes: list[Node]


@dataclass
class Choice:
    sign: str  # && or ||
    first: Node
    second: Node


@dataclass
class Pipe:
    left: Node
    right: Node


@dataclass
class Block:
    body: Node
    redirections: list[Redirection]


@dataclass
class If:
    test: str
    left: str
    right: str
    negated: bool
    ignoring_case: bool
    then: Node
    otherwise: Node | None


@dataclass
class For:
    parsing: bool  # for /f
    options: str
    letter: str
    source: str
    body: Node
    redirections: list[Redirection] = field(default_factory=list)


Node = Simple | Sequence | Choice | Pipe | Block | If | For


def expanded(line: str, value: Callable[[str], str | None], arguments: list[str], script: str) -> str:
    """The first pass over a line: %%, %1, %~dp0, %name%, %name:a=b%, %name:~0,4%."""
    found, at = "", 0
    while at < len(line):
        if line[at] != "%":
            found, at = found + line[at], at + 1
            continue
        argument = re.match(r"%(~(?:dp|f|n)?)?([0-9])", line[at:])
        variable = re.match(r"%([^%:\r\n]+)(:[^%]*)?%", line[at:])
        if line.startswith("%%", at):
            found, at = found + "%", at + 2
        elif argument:
            given = arguments[int(argument[2])] if int(argument[2]) < len(arguments) else ""
            found += _argument(given, argument[1], script)
            at += argument.end()
        elif variable:
            found += _variable(value(variable[1]), variable[2])
            at += variable.end()
        else:  # a lone one vanishes
            at += 1
    return found


def _argument(given: str, modifier: str | None, script: str) -> str:
    if modifier is None:
        return given
    if modifier == "~dp":
        return ntpath.dirname(script) + "\\"
    assert modifier == "~", f"%{modifier} is not known here"
    return given.strip('"')


def _variable(value: str | None, modifier: str | None) -> str:
    if modifier is None:
        return value or ""
    if value is None:  # cmd leaves the modifier standing
        return modifier[1:]
    part = re.fullmatch(r":~(\d+)(?:,(\d+))?", modifier)
    if part:
        return value[int(part[1]) :][: int(part[2]) if part[2] else None]
    old, equals, new = modifier[1:].partition("=")
    assert equals, f"{modifier} is not known here"
    assert not old.startswith("*"), "a leading asterisk has a meaning of its own"
    return re.sub(re.escape(old), lambda _: new, value, flags=re.IGNORECASE)


class Parser:
    """One logical line. `more` gives the next physical one, expanded."""

    def __init__(self, more: Callable[[], str]) -> None:
        self.more = more
        self.text = more()
        self.at = 0
        self.depth = 0

    def parsed(self) -> Node:
        node = self._sequence()
        assert self.at >= len(self.text), f"cmd cannot read: {self.text[self.at :]!r}"
        return node

    def _rest(self) -> str:
        return self.text[self.at :]

    def _skip(self) -> None:
        while self._rest()[:1] in (" ", "\t", "@", ",", ";", "=") and self._rest():
            self.at += 1

    def _take(self, sign: str) -> bool:
        self._skip()
        if not self._rest().startswith(sign):
            return False
        self.at += len(sign)
        return True

    # -- from the loosest to the tightest
    def _sequence(self) -> Node:
        nodes = [self._or()]
        while self._rest().startswith("&"):
            self.at += 1
            nodes.append(self._or())
        return nodes[0] if len(nodes) == 1 else Sequence(nodes)

    def _or(self) -> Node:
        node = self._and()
        while self._take("||"):
            node = Choice("||", node, self._and())
        return node

    def _and(self) -> Node:
        node = self._pipe()
        while self._take("&&"):
            node = Choice("&&", node, self._pipe())
        return node

    def _pipe(self) -> Node:
        node = self._command()
        self._skip()
        while self._rest().startswith("|") and not self._rest().startswith("||"):
            self.at += 1
            node = Pipe(node, self._command())
            self._skip()
        return node

    def _command(self) -> Node:
        self._skip()
        if self._take("("):
            return self._block()
        word = re.match(r"(if|for|rem)\b", self._rest(), re.IGNORECASE)
        if word is None:
            return self._simple()
        if word[1].lower() == "rem":
            self.at = len(self.text)
            return Simple("rem", [])
        self.at += word.end()
        return self._if() if word[1].lower() == "if" else self._for()

    def _block(self) -> Node:
        self.depth += 1
        nodes: list[Node] = []
        while not self._take(")"):
            if self.at >= len(self.text):
                self.text, self.at = self.more(), 0
                assert not self.text.lstrip().startswith(":"), "no labels in a block: they break it"
            else:
                nodes.append(self._sequence())
        self.depth -= 1
        redirections = []
        while redirection := self._redirection():
            redirections.append(redirection)
        return Block(Sequence(nodes), redirections)

    def _if(self) -> Node:
        negated = ignoring_case = False
        while word := re.match(r"\s*(not|/i)\s", self._rest(), re.IGNORECASE):
            negated, ignoring_case = negated or word[1].lower() == "not", ignoring_case or word[1] == "/i"
            self.at += word.end()
        test = re.match(r"\s*(defined|exist|errorlevel)\s", self._rest(), re.IGNORECASE)
        if test:
            self.at += test.end()
            kind, left, right = test[1].lower(), self._word(), ""
        else:
            left = self._word()
            sign = re.match(r"\s*(==|geq|leq|neq|equ)\s*", self._rest(), re.IGNORECASE)
            assert sign, f"cmd cannot read this comparison: {self._rest()!r}"
            self.at += sign.end()
            kind, right = sign[1].lower(), self._word()
        self._skip()
        in_block = self._rest().startswith("(")
        then = self._command() if in_block else self._sequence()
        otherwise = None
        if in_block and (word := re.match(r"\s*else\s", self._rest(), re.IGNORECASE)):
            self.at += word.end()
            otherwise = self._command() if self._next_is("(") else self._sequence()
        return If(kind, left, right, negated, ignoring_case, then, otherwise)

    def _next_is(self, sign: str) -> bool:
        self._skip()
        return self._rest().startswith(sign)

    def _word(self) -> str:
        found = re.match(r'\s*((?:"[^"]*"|[^\s="&|<>()])+)', self._rest())
        assert found, f"cmd expects a word: {self._rest()!r}"
        self.at += found.end()
        return found[1]

    def _for(self) -> Node:
        head = re.match(r'\s+(/f)?\s*(?:"([^"]*)"\s+)?%([a-zA-Z])\s+in\s+\(', self._rest(), re.IGNORECASE)
        assert head, f"cmd cannot read this loop: {self._rest()!r}"
        self.at += head.end()
        source = self._until_closed()
        word = re.match(r"\s*do\s+", self._rest(), re.IGNORECASE)
        assert word, f"cmd expects `do`: {self._rest()!r}"
        self.at += word.end()
        body = self._command() if self._next_is("(") else self._sequence()
        return For(bool(head[1]), head[2] or "", head[3], source, body)

    def _until_closed(self) -> str:
        """To the parenthesis that closes the loop's set; carets outside quotes go."""
        found, quoted = "", False
        while True:
            assert self._rest(), "the set of a loop is not closed"
            character = self._rest()[0]
            self.at += 1
            if character == '"':
                quoted = not quoted
            elif character == ")" and not quoted:
                return found
            elif character in "&|<>" and not quoted:
                raise AssertionError(f"cmd cannot read {character!r} here without a caret")
            elif character == "^" and not quoted:
                character = self._rest()[0]
                self.at += 1
            found += character

    def _simple(self) -> Node:
        text, redirections, quoted = "", [], False
        while self._rest():
            character = self._rest()[0]
            if not quoted:
                at_word = not text or text[-1] in " \t,;="
                redirection = self._redirection() if character in "<>" or (at_word and character.isdigit()) else None
                if redirection:
                    redirections.append(redirection)
                    continue
                if character in "&|" or (character == ")" and self.depth):
                    break
            self.at += 1
            if character == '"':
                quoted = not quoted
            elif character == "^" and not quoted:
                character = self._rest()[:1]
                self.at += 1
            text += character
        assert text.strip() or redirections, f"cmd expects a command: {self.text!r}"
        return Simple(text, redirections)

    def _redirection(self) -> Redirection | None:
        found = re.match(r'\s*(\d?)(>>?)\s*(&\d|"[^"]*"|[^\s&|<>()]+)[ \t]*', self._rest())
        if found is None:
            return None
        self.at += found.end()
        return int(found[1] or 1), found[2], found[3]
