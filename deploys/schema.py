"""What the data in `inventory.py` and `group_data/` is made of.

Each class is frozen and typed and refuses nonsense with one sentence that names the field and the value.
Beyond the standard library it knows only pyinfra's error class, so that bad data ends a plain `pyinfra` run
with that sentence and not with a traceback.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union, dataclass_transform, get_args, get_origin, get_type_hints

from pyinfra.api.exceptions import PyinfraError

T = typing.TypeVar("T")
Scalar = str | int | float | bool

STOLEN_CREDENTIAL_BUILDS = ("1.82.7", "1.82.8")
OLDEST_SAFE_OLLAMA = (0, 23, 3)


class Nonsense(PyinfraError, ValueError):
    """Data that cannot be meant: one sentence naming class, field and value."""


def normalised(tag: str) -> str:
    """A model's full name: Ollama reads `gemma3` as `gemma3:latest`."""
    return tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"


def _is_a(value: object, hint: Any) -> bool:
    """Whether `value` has the declared type. A bool is no number here."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is_a(value, each) for each in args)
    if origin is Literal:
        return value in args
    if origin in (tuple, Sequence):
        return isinstance(value, tuple) and all(_is_a(each, args[0]) for each in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(_is_a(k, args[0]) and _is_a(v, args[1]) for k, v in value.items())
    if hint is Any:
        return True
    if hint in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if hint is float else hint)


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def data(cls: type[T]) -> type[T]:
    """A frozen dataclass whose unknown or missing fields are refused in one sentence too."""
    made = dataclass(frozen=True)(cls)
    checked = made.__init__
    known = [each.name for each in dataclasses.fields(made)]  # type: ignore[arg-type]

    def refuse_unknown(self: Any, *args: Any, **kwargs: Any) -> None:
        label = repr(args[0]) if args else ""
        if unknown := sorted(set(kwargs) - set(known)):
            raise Nonsense(f"{cls.__name__}({label}): unknown field {unknown[0]!r} (fields: {', '.join(known)})")
        try:
            checked(self, *args, **kwargs)
        except TypeError as error:
            raise Nonsense(f"{cls.__name__}({label}): {str(error).partition(') ')[2] or error}") from None

    setattr(made, "__init__", refuse_unknown)  # noqa: B010  mypy knows no other way
    return made


class Data:
    """Base of all data: checks types and common sense, and prints itself as JSON."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for each in dataclasses.fields(self):  # type: ignore[arg-type]
            value = getattr(self, each.name)
            if isinstance(value, list):  # lists read better in data; tuples are what stays frozen
                value = tuple(value)
                object.__setattr__(self, each.name, value)
            if not _is_a(value, hints[each.name]):
                self._refuse(each.name, f"has the wrong type (wanted {_name_of(hints[each.name])})")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                if not math.isfinite(value):
                    self._refuse(each.name, "is no number that anything can have")
                if value < 0:
                    self._refuse(each.name, "must not be negative")
        self.refuse_nonsense()

    def refuse_nonsense(self) -> None:
        """What only this class knows to be nonsense."""

    def _refuse(self, name: str, why: str) -> typing.NoReturn:
        label = getattr(self, "name", None) or getattr(self, "tag", None)
        who = f"{type(self).__name__}({label!r})" if isinstance(label, str) else type(self).__name__
        raise Nonsense(f"{who}: {name} = {getattr(self, name)!r} {why}")

    def to_json(self) -> dict[str, Any]:
        """Plain data for `pyinfra --json inventory.py debug-inventory`. Holds no secret: secrets are names."""
        return {each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)}  # type: ignore[arg-type]


def _name_of(hint: Any) -> str:
    return getattr(hint, "__name__", None) if isinstance(hint, type) else str(hint).replace("typing.", "")  # type: ignore[return-value]


def _plain(value: object) -> object:
    if isinstance(value, Data):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return value


def _must_match(each: Data, name: str, pattern: str, wanted: str) -> None:
    if not re.fullmatch(pattern, getattr(each, name)):
        each._refuse(name, f"is not {wanted}")


@data
class Secret(Data):
    """The name of a secret. Its value comes from the environment, `secrets.env` or SECRETS_COMMAND, at render time."""

    name: str

    def refuse_nonsense(self) -> None:
        _must_match(self, "name", r"[A-Z][A-Z0-9_]*", "a name in CAPITALS_AND_UNDERSCORES")


LONGEST_HOME = 120  # of 260; what we unpack below it takes the rest


@data
class Agent(Data):
    """Where the on-machine program lives, and the Python that runs it. `home` is for administrators only.

    `runtime`: where the system brings no Python, the archive of one; `python` then starts with the program in it, in
    a folder of its own below `home`.
    `undo_after_s`: the machine undoes a change to ssh, firewall or tailnet that no fresh connection confirmed by then.
    """

    python: str
    home: str
    runtime: Release | None = None
    undo_after_s: int = 90

    def refuse_nonsense(self) -> None:
        folder = re.escape(self.home) + r"\\[\w.-]+\\[\w.-]+"
        if self.runtime and not re.fullmatch(folder, self.python.split(" ")[0]):
            self._refuse("python", f"must start with {self.home}\\FOLDER\\PROGRAM, where its runtime is unpacked")
        if self.runtime and not re.fullmatch(r"[A-Za-z]:(\\[\w.-]+)+", self.home, re.ASCII):
            self._refuse("home", "must be a full path of plain letters: each shell would read others in its own way")
        if self.runtime and len(self.home) > LONGEST_HOME:
            self._refuse("home", f"is too long for Windows' paths ({LONGEST_HOME} letters at most)")
        if self.undo_after_s < 20:
            self._refuse("undo_after_s", "is too short for a fresh connection (20 s at least)")


@data
class Release(Data):
    """One published archive: where it is and what its bytes must hash to."""

    version: str
    url: str
    sha256: str

    def refuse_nonsense(self) -> None:
        _must_match(self, "url", r"https?://\S+", "a http(s) URL")
        _must_match(self, "sha256", r"[0-9a-f]{64}", "64 lower-case hex digits")
        _must_match(self, "version", r"[0-9A-Za-z][0-9A-Za-z._-]*", "a version")


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
        _must_match(self, "tag", r"[\w./-]+:[\w.-]+", "a model tag such as gemma3:4b")
        _must_match(self, "digest", r"[0-9a-f]{12,64}", "12 to 64 lower-case hex digits of the manifest's digest")
        if self.context < 512:
            self._refuse("context", "is too small a context window (512 tokens at least)")


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
        _port(self, "port")
        numbers = tuple(int(each) for each in re.findall(r"\d+", self.release.version)[:3])
        if numbers < OLDEST_SAFE_OLLAMA:
            self._refuse("release", "is older than 0.23.3, which has known holes: raise the version")


def _port(data: Data, name: str) -> None:
    if not 1 <= getattr(data, name) <= 65535:
        data._refuse(name, "is not a port number")


@data
class Lane(Data):
    """One way to a model, by LiteLLM's name for it (`groq/openai/gpt-oss-120b`).

    `tier`: `local` stays on the tailnet, `free` is a cloud lane for cascades, `premium` costs money and is only
    ever called by name. A lane whose key is absent is left out, and the plan says so.
    `stream_timeout_s` is the wait for the first token and the longest silence; `timeout_s` a whole answer.
    """

    name: str
    model: str
    tier: Literal["local", "free", "premium"]
    api_base: str | None = None
    key: Secret | None = None
    timeout_s: int = 60
    stream_timeout_s: int = 20
    cooldown_s: int = 30
    requests_per_minute: int | None = None
    context: int | None = None
    parameters: Mapping[str, Scalar] = field(default_factory=dict)

    def refuse_nonsense(self) -> None:
        _must_match(self, "name", r"[a-z][a-z0-9-]*", "a lower-case name")
        _must_match(self, "model", r"[a-z_]+/\S+", "a LiteLLM model such as groq/openai/gpt-oss-120b")
        if self.tier != "local" and self.key is None:
            self._refuse("key", f"is missing: a {self.tier} lane needs Secret(...)")
        if not 0 < self.stream_timeout_s <= self.timeout_s:
            self._refuse("stream_timeout_s", f"must be above 0 and at most timeout_s ({self.timeout_s})")


@data
class Route(Data):
    """A task's name and the lanes that answer it, nearest first. `private` never leaves the tailnet."""

    name: str
    cascade: Sequence[str]
    private: bool = False
    parameters: Mapping[str, Scalar] = field(default_factory=dict)

    def refuse_nonsense(self) -> None:
        _must_match(self, "name", r"[a-z][a-z0-9-]*", "a lower-case name")
        if not self.cascade:
            self._refuse("cascade", "names no lane")
        if len(set(self.cascade)) != len(self.cascade):
            self._refuse("cascade", "names a lane twice")


@data
class GatewayPlace(Data):
    """Where the gateway lives on a system, how its container is on the network, how it reaches Ollama from there."""

    home: str
    network: Literal["host", "bridge"] = "host"
    ollama_url: str = "http://127.0.0.1:11434"


@data
class Gateway(Data):
    """The LiteLLM proxy: one OpenAI-compatible door on the tailnet.

    `runtime`: `docker` runs `image`; `native` runs the same version out of scripts/gateway/requirements.lock.
    `image`: `name:tag@sha256:...`, so that a moved tag cannot change what runs.
    `publish`: `address` binds the machine's tailnet address; `serve` binds loopback and lets Tailscale forward.
    """

    image: str
    master_key: Secret
    runtime: Literal["docker", "native"] = "docker"
    port: int = 4000
    publish: Literal["address", "serve"] = "address"
    healthy_within_s: int = 180
    environment: Mapping[str, str] = field(default_factory=dict)
    slack_webhook: Secret | None = None
    home: str = ""
    network: Literal["host", "bridge"] = "host"
    ollama_url: str = "http://127.0.0.1:11434"

    def at(self, place: GatewayPlace) -> Gateway:
        """This gateway on a system: `home`, `network` and `ollama_url` are that system's, not the gateway's."""
        return dataclasses.replace(self, **{each.name: getattr(place, each.name) for each in dataclasses.fields(place)})

    def refuse_nonsense(self) -> None:
        _port(self, "port")
        _must_match(self, "image", r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", "an image pinned as name:tag@sha256:digest")
        if any(f":v{bad}@" in self.image or f":{bad}@" in self.image for bad in STOLEN_CREDENTIAL_BUILDS):
            self._refuse("image", "is a build that stole credentials (March 2026): take another version")


@data
class Tailnet(Data):
    """What must be true of Tailscale here. `key_days_left` is when a warning starts."""

    oldest_version: str = "1.90.0"
    key_days_left: int = 14

    def refuse_nonsense(self) -> None:
        _must_match(self, "oldest_version", r"\d+\.\d+(\.\d+)?", "a version such as 1.90.0")


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
                self._refuse("only_from", f"holds {each!r}, which is no network such as 100.64.0.0/10")
        names = {name.lower() for name in self.settings}
        if "listenaddress" in names:
            why = "sshd starts before the tailnet has its address, and does not try again: use only_from"
            self._refuse("settings", f"sets ListenAddress, which locks everybody out at the next start: {why}")
        if self.only_from and "allowusers" in names:
            self._refuse("settings", "sets AllowUsers beside only_from, and sshd would let in whom either names")


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
            self._refuse("user", "is no person: name the user who asks")


@data
class Needs(Data):
    """Programs that bootstrap installs and no role brings: `{"zstd": "scripts/bootstrap.sh installs it"}`."""

    programs: Mapping[str, str] = field(default_factory=dict)


def right_classes(
    machine: str, data: Mapping[str, Any], *, one: Mapping[str, type], several: Mapping[str, type]
) -> None:
    """Each name of the data holds what it says: `gateway` one Gateway, `models` a list of Model. Raises Nonsense."""
    for name, wanted in {**one, **several}.items():
        value, listed = data.get(name), name in several
        alone = listed and value is not None and not isinstance(value, (list, tuple))
        for each in value or () if listed and not alone else (value,):
            if alone or (each is not None and not isinstance(each, wanted)):
                kind = f"a list of {wanted.__name__}" if listed else f"a {wanted.__name__}"
                raise Nonsense(f"{machine}: {name} holds {each!r}, and must be {kind}")


def check_routes(machine: str, lanes: Sequence[Lane], routes: Sequence[Route]) -> None:
    """Every route must lead to lanes that exist; premium is alone; private stays on the tailnet. Raises Nonsense."""
    tiers = {each.name: each.tier for each in lanes}
    for route in routes:
        which = f"{machine}: route {route.name!r}"
        for lane in route.cascade:
            if lane not in tiers:
                known = ", ".join(sorted(tiers)) or "none"
                raise Nonsense(f"{which} leads to lane {lane!r}, which does not exist (lanes: {known})")
            if route.private and tiers[lane] != "local":
                raise Nonsense(f"{which} is private and must not leave the tailnet, but lane {lane!r} is {tiers[lane]}")
            if tiers[lane] == "premium" and len(route.cascade) > 1:
                raise Nonsense(f"{which} has premium lane {lane!r} in a cascade: premium is only called by name")
