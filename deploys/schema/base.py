"""What every class of data is built on: frozen, typed, and nonsense is refused in one sentence.

Beyond the standard library it knows only pyinfra's error class, so that bad data ends a plain `pyinfra` run with that
sentence and not with a traceback.
"""

from __future__ import annotations

import dataclasses
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


class Nonsense(PyinfraError, ValueError):
    """Data that cannot be meant: one sentence naming class, field and value."""


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
                self.refuse(each.name, f"has the wrong type (wanted {_name_of(hints[each.name])})")
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                if not math.isfinite(value):
                    self.refuse(each.name, "is no number that anything can have")
                if value < 0:
                    self.refuse(each.name, "must not be negative")
        self.refuse_nonsense()

    def refuse_nonsense(self) -> None:
        """What only this class knows to be nonsense."""

    def refuse(self, name: str, why: str) -> typing.NoReturn:
        label = getattr(self, "name", None) or getattr(self, "tag", None)
        who = f"{type(self).__name__}({label!r})" if isinstance(label, str) else type(self).__name__
        raise Nonsense(f"{who}: {name} = {getattr(self, name)!r} {why}")

    def to_json(self) -> dict[str, Any]:
        """Plain data for `pyinfra --json inventory.py debug-inventory`. Holds no secret: secrets are names."""
        return {each.name: _plain(getattr(self, each.name)) for each in dataclasses.fields(self)}  # type: ignore[arg-type]


def must_match(each: Data, name: str, pattern: str, wanted: str) -> None:
    if not re.fullmatch(pattern, getattr(each, name)):
        each.refuse(name, f"is not {wanted}")


def port_of_service(data: Data, name: str) -> None:
    if not 1 <= getattr(data, name) <= 65535:
        data.refuse(name, "is not a port number")


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


@data
class Secret(Data):
    """The name of a secret. Its value comes from the environment, `secrets.env` or SECRETS_COMMAND, at render time."""

    name: str

    def refuse_nonsense(self) -> None:
        must_match(self, "name", r"[A-Z][A-Z0-9_]*", "a name in CAPITALS_AND_UNDERSCORES")


@data
class Release(Data):
    """One published archive: where it is and what its bytes must hash to."""

    version: str
    url: str
    sha256: str

    def refuse_nonsense(self) -> None:
        must_match(self, "url", r"https?://\S+", "a http(s) URL")
        must_match(self, "sha256", r"[0-9a-f]{64}", "64 lower-case hex digits")
        must_match(self, "version", r"[0-9A-Za-z][0-9A-Za-z._-]*", "a version")
