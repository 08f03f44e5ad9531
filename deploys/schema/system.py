"""What the data says of the machine itself: variables, rules, tasks and other things that an operating system keeps.

No class belongs to one system: a machine whose system has no such thing says so in one sentence when its data names
one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from deploys.schema.base import Data, data

TAILNET = ("100.64.0.0/10", "fd7a:115c:a1e0::/48")
"""Every address that Tailscale gives, of both families."""

WAY_IN_KEYS = (
    r"HKLM\SOFTWARE\OpenSSH",
    r"HKLM\SOFTWARE\Policies\Tailscale",
    r"HKLM\SOFTWARE\Tailscale IPN",
    r"HKLM\SYSTEM\CurrentControlSet\Services\sshd",
    r"HKLM\SYSTEM\CurrentControlSet\Services\Tailscale",
)
"""Keys of the registry whose values govern the way in, at any depth: a change is undone unless it can be confirmed."""

Scope = Literal["machine", "user"]
"""`machine`: for everybody on it; `user`: for the one whom the desk connects as."""


@data
class Variable(Data):
    """An environment variable. `%NAME%` in its value is filled in by whoever reads it; None: it must not be there."""

    name: str
    value: str | None
    scope: Scope = "machine"

    @property
    def id(self) -> str:
        return f"{self.scope}/{self.name}"

    def refuse_nonsense(self) -> None:
        if not re.fullmatch(r"[^=\s\0]+", self.name):
            self.refuse("name", "is no name of a variable")
        if self.name.lower() == "path":
            self.refuse("name", "would replace every entry: use PathEntry")


@data
class PathEntry(Data):
    """A directory in which programs are found by name. The other entries stay as they are, letter by letter."""

    directory: str
    scope: Scope = "machine"

    @property
    def id(self) -> str:
        return f"{self.scope}/{self.directory}"

    def refuse_nonsense(self) -> None:
        if not re.fullmatch(r'[^;"\0]+', self.directory):
            self.refuse("directory", "is no name of a directory")


@data
class RegistryValue(Data):
    """One value of the registry, `name` being its key and its name. Without `data` it must not be there.

    `binary` is hex digits in `data`, `multi` a list of texts.
    """

    name: str
    type: Literal["string", "expand", "dword", "qword", "multi", "binary"] = "string"
    data: str | int | Sequence[str] | None = None

    @property
    def way_in(self) -> bool:
        """Whether it may shut us out."""
        return any(self.name.lower().startswith(f"{key}\\".lower()) for key in WAY_IN_KEYS)

    def refuse_nonsense(self) -> None:
        if not re.fullmatch(r"(HKLM|HKCU)(\\[^\\]+){2,}", self.name):
            self.refuse("name", r"is no value such as HKLM\SOFTWARE\Maker\Name")
        wanted = {"dword": int, "qword": int, "multi": tuple}.get(self.type, str)
        if self.data is not None and not isinstance(self.data, wanted):
            self.refuse("data", f"is no {self.type}")
        if self.type == "binary" and not re.fullmatch("([0-9a-f]{2})*", str(self.data)):
            self.refuse("data", "is not made of pairs of lower-case hex digits")


@data
class FirewallRule(Data):
    """What is let in or kept out (`direction` `out`: let out). No `remote`: from anywhere; no `ports`: all of them.

    `enabled=False`, with nothing else said, switches off whatever rules have that name: those of others too.
    """

    name: str
    action: Literal["allow", "block"] = "allow"
    direction: Literal["in", "out"] = "in"
    protocol: Literal["tcp", "udp", "any"] = "tcp"
    ports: Sequence[int] = ()
    remote: Sequence[str] = ()
    program: str = ""
    description: str = ""
    enabled: bool = True

    def refuse_nonsense(self) -> None:
        if not self.name.strip() or self.name.lower() == "all" or re.search(r'[|"\r\n]', self.name + self.description):
            self.refuse("name", "is no name of one rule")
        if any(not 1 <= each <= 65535 for each in self.ports):
            self.refuse("ports", "holds no port number")
        if self.ports and self.protocol == "any":
            self.refuse("ports", "wants the protocol tcp or udp")
        for each in self.remote:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                self.refuse("remote", f"holds {each!r}, which is no address or network")
        if not self.enabled and (self.ports or self.remote or self.program):
            self.refuse("enabled", "switches off rules by their name: say nothing else of them")


@data
class SystemService(Data):
    """A service that came with the system or with a program: how it starts, and whether it runs now."""

    name: str
    start: Literal["auto", "delayed", "manual", "disabled"] = "auto"
    running: bool = True

    def refuse_nonsense(self) -> None:
        if self.running and self.start == "disabled":
            self.refuse("running", "cannot be: it is disabled")


@data
class Feature(Data):
    """A part of the system that can be switched on and off. It may want a restart: see Reboot."""

    name: str
    enabled: bool = True


@data
class Power(Data):
    """After how many idle seconds the machine sleeps or hibernates; 0 is never, None leaves it as it is."""

    name: Literal["sleep", "hibernate"]
    plugged_s: int | None = 0
    battery_s: int | None = None


@data
class Installer(Data):
    """A program that comes with an installer. `name`: as the system lists it; `arguments`: what keeps it silent.

    `version`: an older one is installed over; without it any version is good.
    """

    name: str
    url: str
    sha256: str
    arguments: Sequence[str] = ()
    version: str | None = None

    def refuse_nonsense(self) -> None:
        if not re.fullmatch(r"https?://\S+", self.url):
            self.refuse("url", "is not a http(s) URL")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            self.refuse("sha256", "is not 64 lower-case hex digits")


@data
class Trigger(Data):
    """When a task runs. `start`: local time as 2026-01-01T03:00:00; `user`: whose logon (nobody named: anybody's)."""

    at: Literal["boot", "logon", "daily", "weekly", "every"]
    start: str | None = None
    days: Sequence[str] = ()
    every_s: int | None = None
    delay_s: int | None = None
    user: str | None = None

    def refuse_nonsense(self) -> None:
        if self.start is not None and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", self.start):
            self.refuse("start", "is no time such as 2026-01-01T03:00:00")
        needs = {"daily": ("start",), "weekly": ("start", "days"), "every": ("start", "every_s")}.get(self.at, ())
        for each in needs:
            if not getattr(self, each):
                self.refuse(each, f"is needed for {self.at!r}")

    def spoken(self) -> dict[str, Any]:
        """Without what is not said."""
        return {name: value for name, value in self.to_json().items() if value not in (None, [])}


@data
class ScheduledTask(Data):
    """A program that runs at given times, ends whole, and leaves a log.

    `account`: `system`, `own` (a user without rights) or a user's name; `logon`: `s4u` runs that user's task with
    nobody logged on, `interactive` only on the user's desktop. `limit_s`: when it is ended, 0 is never.
    """

    name: str
    command: Sequence[str]
    triggers: Sequence[Trigger]
    account: str = "system"
    description: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    logon: Literal["s4u", "interactive"] = "s4u"
    elevated: bool = False
    catch_up: bool = False
    battery: bool = True
    limit_s: int = 0
    enabled: bool = True

    def refuse_nonsense(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name, re.ASCII):
            self.refuse("name", "has other signs than letters, digits and . _ -")
        if not self.command:
            self.refuse("command", "names no program")

    def spec(self) -> dict[str, Any]:
        """What the machine is asked for."""
        spec = {name: value for name, value in self.to_json().items() if name not in ("name", "triggers", "logon")}
        chosen = {} if self.account in ("system", "own") else {"logon": self.logon}
        return {**spec, **chosen, "triggers": [each.spoken() for each in self.triggers]}


@data
class Reboot(Data):
    """Whether converge may restart the machine when the machine waits for it, and how long it may stay away."""

    allowed: bool = False
    within_s: int = 600
