"""How cmd.exe reads a line: the rule of the outer quotes, `%NAME%`, `^`, and what stands between commands.

Documented: Microsoft's page of `cmd`; recorded: see FIXTURES.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LONGEST = 8191
SPECIAL = set("&<>()@^|")


@dataclass
class Command:
    """One simple command. `before`: what stands between it and the one before: "", "&", "&&", "||" or "|"."""

    before: str
    text: str = ""
    redirects: list[tuple[int, str, str]] = field(default_factory=list)  # (stream, "<" ">" ">>" ">&", target)


def unquoted(rest: str, is_program: Callable[[str], bool]) -> str:
    """What is left of the text after /c: the first and the last quote go, unless they stand around a program's name."""
    rest = rest.lstrip()
    if not rest.startswith('"'):
        return rest
    inner = rest[1:].partition('"')[0]
    keeps = rest.count('"') == 2 and not SPECIAL & set(inner) and " " in inner and is_program(inner)
    if keeps:
        return rest
    last = rest.rindex('"')
    return rest[1:last] + rest[last + 1 :] if last else rest[1:]


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """`%NAME%` as the environment has it; a name that it does not have stays as it stands."""

    def value(found: re.Match[str]) -> str:
        return environment.get(found[1].upper(), found[0])

    return re.sub(r"%([^%=\s][^%=]*)%", value, text)


def parsed(text: str) -> list[Command]:
    """The commands of a line. Quotes shield, a caret shields the next sign; parentheses only group."""
    commands = [Command("")]
    quoted, at, word = False, 0, ""

    def close(between: str) -> None:
        nonlocal word
        commands[-1].text = word.strip()
        word = ""
        commands.append(Command(between))

    while at < len(text):
        sign = text[at]
        if sign == '"':
            quoted = not quoted
            word += sign
        elif quoted:
            word += sign
        elif sign == "^":
            at += 1
            word += text[at : at + 1]
        elif sign in "&|":
            double = text[at + 1 : at + 2] == sign
            at += double
            close(sign * 2 if double else sign)
        elif sign in "<>":
            at, word = _redirected(text, at, word, commands[-1])
            continue
        elif sign in "()" and not word.strip():
            pass  # a group that begins
        elif sign == ")" and "(" not in word:
            pass
        else:
            word += sign
        at += 1
    commands[-1].text = word.strip()
    return [each for each in commands if each.text or each.redirects]


def _redirected(text: str, at: int, word: str, command: Command) -> tuple[int, str]:
    """Take `2>>"file"` off the line; gives where it goes on, and the word without the stream's number."""
    sign, stream = text[at], 0 if text[at] == "<" else 1
    if re.search(r"(?:^|\s)[012]$", word):
        stream, word = int(word[-1]), word[:-1]
    kind = sign
    if text[at + 1 : at + 2] in (">", "&"):
        kind += text[at + 1]
    found = re.match(r'\s*("[^"]*"|[^\s&|<>]+)', text[at + len(kind) :])
    if found is None:
        return len(text), word
    command.redirects.append((stream, kind, found[1].strip('"')))
    return at + len(kind) + found.end(), word


def words(text: str) -> tuple[str, str]:
    """The name of the command, without its quotes, and all the rest as it stands."""
    if text.startswith('"'):
        name, _, rest = text[1:].partition('"')
        return name, rest.lstrip()
    found = re.match(r"[^\s,;=/]+|\S", text) or re.match("", text)
    assert found is not None
    if "/" in text[: found.end() + 1] and ":" in found[0]:  # a path with slashes
        found = re.match(r"\S+", text) or found
    return found[0], text[found.end() :].lstrip()
