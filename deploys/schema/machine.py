"""What the data says of a machine: how it is reached and worked on, its card, its engine and models, its desk."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import field

from deploys.schema.base import Data, Release, Secret, data, must_match, port_of_service

OLDEST_SAFE_OLLAMA = (0, 23, 3)
LONGEST_HOME = 120  # of 260; what we unpack below it takes the rest
KEPT_BY_SSHD = r"C:\ProgramData\ssh"


@data
class Agent(Data):
    """Where the on-machine program lives, and the Python that runs it. `home` is for administrators only.

    `runtime`: where the system brings no Python, the archive of one; `python` then starts with the program in it, in
    a folder of its own below `home`. Such a home lies in the folder that Windows' sshd keeps for administrators: what
    lies there is started with their rights by the first word from the desk, before anything can look whose it is, and
    nearly everywhere else on Windows any user may put something beforehand. Here whoever could, could let himself in.
    `undo_after_s`: the machine undoes a change to ssh, firewall or tailnet that no fresh connection confirmed by then.
    """

    python: str
    home: str
    runtime: Release | None = None
    undo_after_s: int = 90

    def refuse_nonsense(self) -> None:
        if self.runtime and not re.fullmatch(re.escape(KEPT_BY_SSHD) + r"\\\w[\w.-]*", self.home, re.ASCII):
            why = "sshd keeps that for administrators; elsewhere any user could put there what the desk would start"
            self.refuse("home", f"must be {KEPT_BY_SSHD}\\NAME, in plain letters: {why}")
        folder = re.escape(self.home) + r"\\[\w.-]+\\[\w.-]+"
        if self.runtime and not re.fullmatch(folder, self.python.split(" ")[0]):
            self.refuse("python", f"must start with {self.home}\\FOLDER\\PROGRAM, where its runtime is unpacked")
        if self.runtime and len(self.home) > LONGEST_HOME:
            self.refuse("home", f"is too long for Windows' paths ({LONGEST_HOME} letters at most)")
        if self.undo_after_s < 20:
            self.refuse("undo_after_s", "is too short for a fresh connection (20 s at least)")


@data
class Needs(Data):
    """Programs that bootstrap installs and no role brings: `{"zstd": "scripts/bootstrap.sh installs it"}`."""

    programs: Mapping[str, str] = field(default_factory=dict)


@data
class Ssh(Data):
    """The way in: keys only. `settings` go to sshd as they stand; `check` is its own word on them ({file}).

    `only_from`: networks ("100.64.0.0/10") from which sshd lets people in; it listens everywhere all the same. None:
    from anywhere.
    """

    drop_in: str
    service: str = "ssh"
    check: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    only_from: Sequence[str] = ()

    def refuse_nonsense(self) -> None:
        for each in self.only_from:
            try:
                ipaddress.ip_network(each)
            except ValueError:
                self.refuse("only_from", f"holds {each!r}, which is no network such as 100.64.0.0/10")
        names = {name.lower() for name in self.settings}
        if "listenaddress" in names:
            why = "sshd starts before the tailnet has its address, and does not try again: use only_from"
            self.refuse("settings", f"sets ListenAddress, which locks everybody out at the next start: {why}")
        if self.only_from and "allowusers" in names:
            self.refuse("settings", "sets AllowUsers beside only_from, and sshd would let in whom either names")


@data
class Tailnet(Data):
    """What must be true of Tailscale here. `key_days_left` is when a warning starts."""

    oldest_version: str = "1.90.0"
    key_days_left: int = 14

    def refuse_nonsense(self) -> None:
        must_match(self, "oldest_version", r"\d+\.\d+(\.\d+)?", "a version such as 1.90.0")


@data
class Gpu(Data):
    """The card that the models share. `reserved_gb` is left to the desktop."""

    vram_gb: float
    reserved_gb: float = 1.0


@data
class Ollama(Data):
    """The engine. It listens on loopback only: it has no authentication.

    `home` holds its versions, `state` is all that its own account may write, `models` the store inside it.
    """

    release: Release
    home: str
    state: str
    models: str
    program: str = "bin/ollama"
    service: str = "ollama"
    port: int = 11434

    def refuse_nonsense(self) -> None:
        port_of_service(self, "port")
        numbers = tuple(int(each) for each in re.findall(r"\d+", self.release.version)[:3])
        if numbers < OLDEST_SAFE_OLLAMA:
            self.refuse("release", "is older than 0.23.3, which has known holes: raise the version")


def normalised(tag: str) -> str:
    """A model's full name: Ollama reads `gemma3` as `gemma3:latest`."""
    return tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"


@data
class Model(Data):
    """A model that a machine holds.

    `digest`: of the manifest, 12 to 64 hex digits (`ollama list` prints 12). A tag may move; this is what counts.
    `size_gb`: download size; `vram_gb`: what it takes on the card at `context` tokens.
    `resident`: loaded at every converge and kept in memory.
    """

    tag: str
    digest: str
    size_gb: float
    vram_gb: float
    context: int = 8192
    resident: bool = False

    def refuse_nonsense(self) -> None:
        object.__setattr__(self, "tag", normalised(self.tag))
        must_match(self, "tag", r"[\w./-]+:[\w.-]+", "a model tag such as gemma3:4b")
        must_match(self, "digest", r"[0-9a-f]{12,64}", "12 to 64 lower-case hex digits of the manifest's digest")
        if self.context < 512:
            self.refuse("context", "is too small a context window (512 tokens at least)")


@data
class Brain(Data):
    """The `brain` command of one person: where it lies and which door it knocks at."""

    user: str
    program: str
    settings: str
    gateway_url: str
    key: Secret
    local_url: str = "http://127.0.0.1:11434"
    local_model: str | None = None
    route: str = "default"
    connect_timeout_s: float = 0.6

    def refuse_nonsense(self) -> None:
        if self.user in ("", "root"):
            self.refuse("user", "is no person: name the user who asks")
