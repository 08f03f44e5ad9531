"""Commands for a Windows machine: put together as cmd.exe takes them, and what they said taken apart again. Pure.

Nothing here trusts an exit code that comes through SSH (8 of its 32 bits arrive); each command's end is said by cmd.exe
itself. A line has at most 8191 characters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .parse import CURL_SAYS, Said

LONGEST_LINE = 8000  # cmd.exe takes 8191, with its own name and what sshd puts before
CONFIG_BYTES = 4000  # what a pipe of sshd takes at once: more may lose its end


def quoted(path: str) -> str:
    """One word of a command line. A path has no quote in it, and `%` of a name that nobody has stays as it is."""
    return f'"{path}"'


def lines(commands: Mapping[str, str], boundary: str) -> list[str]:
    """The commands as few lines as cmd.exe takes, for `transcript` to take apart again.

    A command's own `&` must be inside quotes, or its end would be taken for another's.
    """
    found: list[str] = []  # none for no commands: ssh without a command is a shell that waits
    for name, command in commands.items():
        mark = f"echo {boundary} {{}} {name}"
        piece = f"{mark.format('out')}& {command} 2>&1 && {mark.format('good')}|| {mark.format('bad')}"
        if found and len(found[-1]) + len(piece) <= LONGEST_LINE:
            found[-1] += f"& {piece}"
        else:
            found.append(piece)
    return found


def transcript(raw: bytes, boundary: str, page: str) -> dict[str, Said]:
    """{command's name: what it said} of the output of `lines`. A command that did not run to its end is not in it."""
    pattern = rf"{boundary} (out|good|bad) (\S+) ?\r?\n"
    pieces = re.split(pattern.encode(), raw)
    found: dict[str, Said] = {}
    for before, which, name in zip(pieces[0::3], pieces[1::3], pieces[2::3], strict=False):
        if which != b"out":
            code, text = int(which == b"bad"), decoded(before, page)
            found[name.decode()] = Said(code, text, text if code else "")
    return found


def decoded(raw: bytes, page: str) -> str:
    """What a program wrote: UTF-16 where every other byte is none, UTF-8 where it is valid, the OEM page otherwise."""
    if raw.startswith(b"\xff\xfe") or raw[1:2] == b"\0":
        text = raw.removeprefix(b"\xff\xfe").decode("utf-16-le", "replace")
    else:
        try:
            text = raw.removeprefix(b"\xef\xbb\xbf").decode()
        except UnicodeDecodeError:
            text = raw.decode(page, "replace")
    return text.replace("\r\n", "\n")


def code_page(text: str) -> str:
    """Python's name for the page that `chcp` tells: the number at its end, in every language."""
    found = re.search(r"(\d+)\D*$", text)
    return "utf-8" if not found or found[1] == "65001" else f"cp{found[1]}"


class Request:
    """One HTTP request. `key` and `body` travel in curl's standard input only."""

    def __init__(self, url: str, key: str = "", body: str = "", within_s: int = 20) -> None:
        self.url, self.key, self.body, self.within_s = url, key, body, within_s

    def config(self, name: str, boundary: str) -> str:
        """As a piece of curl's configuration."""
        options = [("url", self.url), ("noproxy", "*"), ("max-time", str(self.within_s))]
        options += [("header", f"Authorization: Bearer {self.key}")] if self.key else []
        if self.body:
            options += [("header", "Content-Type: application/json"), ("data", self.body)]
        options.append(("write-out", f"\n{CURL_SAYS}\n{boundary} %{{exitcode}} {name} %{{errormsg}}\n"))
        return "".join(
            [f"{word}\n" for word in ("silent", "include", "no-buffer")] + [_option(*each) for each in options]
        )


def _option(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name} = "{escaped}"\n'


def configurations(requests: Mapping[str, Request], boundary: str) -> list[str]:
    """The requests as few of curl's configurations as sshd passes on whole."""
    found: list[str] = []
    for name, request in requests.items():
        piece = request.config(name, boundary)
        if found and len(found[-1].encode()) + len(piece.encode()) < CONFIG_BYTES:
            found[-1] += f"next\n{piece}"
        else:
            found.append(piece)
    return found


def replies(raw: bytes, boundary: str) -> dict[str, Said]:
    """{request's name: what curl said} of the output for `configurations`, for `parse.reply`."""
    pieces = re.split(rf"\n{boundary} (\d+) (\S+) ?([^\n]*)\n", raw.decode("utf-8", "replace"))
    return {
        name: Said(int(code), said, trouble.strip())
        for said, code, name, trouble in zip(pieces[0::4], pieces[1::4], pieces[2::4], pieces[3::4], strict=False)
    }


def key_of(environment: str, name: str) -> str:
    """The value of a NAME=value file, with or without quotes."""
    found = re.search(rf"^{re.escape(name)}=(.*)$", environment, re.M)
    value = found[1].strip() if found else ""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def chain(words: Sequence[object]) -> str:
    """A command of words; those with blanks are quoted."""
    return " ".join(quoted(str(each)) if re.search(r"[\s&()^;,=]", str(each)) else str(each) for each in words)
