"""What the machines' own tools print, as data. Pure: text in, values out."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Said(NamedTuple):
    """What one command said: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def trouble(self) -> str:
        """Why it failed, in its own last words."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1][:300] if lines else f"exit code {self.code}"


def script(commands: Mapping[str, str], boundary: str) -> str:
    """One POSIX shell script that runs all commands one after another, for `transcript` to take apart again."""
    lines = [
        "PATH=$PATH:/usr/local/bin:/usr/sbin:/sbin LC_ALL=C; export PATH LC_ALL",
        "cd / && errors=$(mktemp) || exit 1",
        "trap 'rm -f \"$errors\"' EXIT",
    ]
    for name, command in commands.items():
        lines += [
            f"printf '\\n%s\\n' '{boundary} out {name}'",
            f'( {command}\n) </dev/null 2>"$errors"',
            f"printf '\\n%s %s\\n' '{boundary} err {name}' $?",
            'cat "$errors"',
        ]
    return "\n".join(lines)


def transcript(text: str, boundary: str) -> dict[str, Said]:
    """{command's name: what it said} of the output of `script`. A command that never ran is not in it."""
    pieces = re.split(rf"\n{re.escape(boundary)} (out|err) (\S+)(?: (\d+))?\n", text)
    found: dict[str, Said] = {}
    out = ""
    for which, name, code, said in zip(pieces[1::4], pieces[2::4], pieces[3::4], pieces[4::4], strict=True):
        if which == "out":
            out = said
        else:
            found[name] = Said(int(code), out, said)
    return found


class Listener(NamedTuple):
    """A listening TCP socket. `address` is `*` for all; `programs` are (name, pid)."""

    address: str
    port: int
    programs: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        names = ", ".join(f"{name} (pid {pid})" for name, pid in self.programs) or "unknown program"
        return f"{self.address} port {self.port}: {names}"


def listeners(text: str) -> list[Listener]:
    """Of `ss -H -tlnp`."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 5)
        if len(fields) < 5:
            continue
        address, _, port = fields[3].rpartition(":")
        address = address.replace("[", "").replace("]", "").partition("%")[0]
        users = re.findall(r'\("([^"]*)",pid=(\d+)', fields[5]) if len(fields) > 5 else []
        programs = tuple(dict.fromkeys((name, int(pid)) for name, pid in users))
        found.append(Listener("*" if address in ("*", "0.0.0.0", "::") else address, int(port), programs))
    return found


TAILNETS = [ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("fd7a:115c:a1e0::/48")]


def is_tailnet(address: str) -> bool:
    """Whether an address is one that Tailscale gives out."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in TAILNETS)


def is_loopback(address: str) -> bool:
    """Whether only the machine itself can reach the address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return found.is_loopback or bool(mapped and mapped.is_loopback)


OWN_BRIDGES = ("docker", "br-", "veth", "virbr", "tailscale", "lo")


def lan_addresses(text: str) -> list[str]:
    """Of `ip -json addr`: where a neighbour on the LAN would knock."""
    return [
        each["local"]
        for link in json.loads(text)
        if not link["ifname"].startswith(OWN_BRIDGES)
        for each in link.get("addr_info", [])
        if each.get("scope") == "global" and not is_tailnet(each["local"])
    ]


def properties(text: str) -> dict[str, str]:
    """Of `systemctl show`."""
    return {name: value for name, equals, value in (line.partition("=") for line in text.splitlines()) if equals}


def sshd_settings(text: str) -> dict[str, str]:
    """Of `sshd -T`: {name in lower case: value}, with the word for keys-only root logins that configurations use."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition(" ")
        value = "prohibit-password" if value == "without-password" else value
        found[name.lower()] = f"{found[name.lower()]} {value}" if name.lower() in found else value
    return found


def offered_methods(text: str) -> list[str] | None:
    """Of an ssh client that offered nothing: what the server would take. None when it was not the server that spoke."""
    found = re.search(r"Permission denied \(([a-z0-9,@.-]+)\)", text)
    return found[1].split(",") if found else None


def environment(text: str) -> dict[str, str]:
    """Of /proc/<pid>/environ."""
    return dict(each.partition("=")[::2] for each in text.split("\0") if each)


class FileState(NamedTuple):
    """A file on the machine. `access`: owner and octal mode; `sha256`: None for what is no regular file."""

    kind: str
    access: str
    sha256: str | None


STAT = r"--printf '%a %U %F\t%n\n'"


def files(stats: str, sums: str) -> dict[str, FileState]:
    """{path: state} of `stat` with STAT and of `sha256sum` for the same paths. What does not exist is not in it."""
    digests = {line[66:]: line[:64] for line in sums.splitlines() if re.match(r"[0-9a-f]{64} [ *]", line)}
    found = {}
    for line in stats.splitlines():
        state, _, path = line.partition("\t")
        mode, owner, kind = state.split(" ", 2)
        found[path] = FileState(kind, f"{owner} {mode:0>4}", digests.get(path))
    return found


def changers(access: str) -> list[str]:
    """Who besides root may change what has this owner and mode, as `FileState.access` has them."""
    owner, mode = access.split(" ")
    others = {"its group": 0o020, "everybody": 0o002}
    return [*([owner] if owner != "root" else []), *(who for who, bit in others.items() if int(mode, 8) & bit)]


@dataclass(frozen=True)
class Reply:
    """An HTTP reply as curl gave it. `address`: who answered; `status` 0 and `trouble` when nobody did."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    address: str = ""
    trouble: str = ""

    @property
    def document(self) -> Any:
        """The body as JSON, or None."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def at(self, *path: str | int) -> Any:
        """What lies there in the document; None where that, or the document, is not: anybody may have answered."""
        found = self.document
        for each in path:
            try:
                found = found[each]
            except (TypeError, LookupError):
                return None
        return found

    def rows(self, name: str) -> list[Mapping[str, Any]] | None:
        """The list of that name in the document; None where there is none."""
        found = self.at(name)
        return found if isinstance(found, list) and all(isinstance(each, dict) for each in found) else None

    @property
    def events(self) -> list[Any]:
        """The JSON documents of a stream of server-sent events; one that was cut off is an error."""
        frames = [line[5:].strip() for line in self.body.splitlines() if line.startswith("data:")]
        return [_event(frame) for frame in frames if frame.startswith("{")]

    def __str__(self) -> str:
        return f"status {self.status}: {self.body.strip()[:200]}" if self.status else f"no answer ({self.trouble})"


def _event(frame: str) -> Any:
    try:
        return json.loads(frame)
    except ValueError:
        return {"error": f"it was cut off: {frame[:80]}"}


CURL_SAYS = "%{remote_ip}"  # in the last line of the output
CURL = rf"""curl -sS -i -N --noproxy '*' --write-out '\n{CURL_SAYS}'"""


def reply(said: Said) -> Reply:
    """Of a command that starts with CURL."""
    if not said.out.startswith("HTTP/"):
        return Reply(0, trouble=said.trouble)
    rest = said.out.replace("\r\n", "\n")
    head = ""
    while rest.startswith("HTTP/"):  # a `100 Continue` comes before the reply itself
        head, _, rest = rest.partition("\n\n")
    first, *lines = head.splitlines()
    body, _, address = rest.rpartition("\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Reply(int(first.split()[1]), headers, body, address.strip(), said.trouble if said.code else "")


def version(text: str) -> tuple[int, ...]:
    """The numbers of a version, to compare: 1.98.10-t1234 is (1, 98, 10)."""
    return tuple(int(each) for each in re.findall(r"\d+", text.partition("-")[0]))


def sizes(found: str) -> dict[str, list[int]]:
    """{path: [size, seconds, mode]} of `find -printf '%s %Ts %m %P\\0'`."""
    files = {}
    for entry in found.split("\0"):
        if entry:
            size, seconds, mode, path = entry.split(" ", 3)
            files[path] = [int(size), int(seconds), int(mode, 8)]
    return files
