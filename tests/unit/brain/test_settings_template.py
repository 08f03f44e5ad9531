"""The settings file as converge renders it."""

from __future__ import annotations

import jinja2
import pytest

from .conftest import render

VALUES: dict[str, object] = {
    "gateway_url": "http://apex:4000",
    "key": "sk-1",
    "route": "default",
    "local_url": "http://127.0.0.1:11434",
    "local_model": "gemma4:e4b",
    "connect_timeout_s": 0.6,
}


def settings_in(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_every_value_stands_on_a_line_of_its_own() -> None:
    assert settings_in(render(**VALUES)) == {name: str(value) for name, value in VALUES.items()}


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_local_model_is_an_empty_value(nothing: object) -> None:
    assert settings_in(render(**VALUES | {"local_model": nothing}))["local_model"] == ""


@pytest.mark.parametrize("name", VALUES)
def test_a_forgotten_value_is_refused(name: str) -> None:
    values = {key: value for key, value in VALUES.items() if key != name}
    with pytest.raises(jinja2.UndefinedError, match=name):
        render(**values)
