"""Data that cannot be meant is refused in one sentence that names class, field and value."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.schema import (
    Agent,
    Brain,
    Gateway,
    GatewayPlace,
    Gpu,
    Lane,
    Model,
    Needs,
    Nonsense,
    Ollama,
    Release,
    Route,
    Secret,
    Ssh,
    Tailnet,
    base,
    gateway,
    machine,
    normalised,
)

SHA = "0" * 64
RELEASE: dict[str, Any] = {"version": "0.40.2", "url": "https://github.com/ollama/x.tar.zst", "sha256": SHA}
MODEL: dict[str, Any] = {"tag": "gemma3:4b", "digest": SHA, "size_gb": 3.3, "vram_gb": 5}
LANE: dict[str, Any] = {
    "name": "groq",
    "model": "groq/openai/gpt-oss-120b",
    "tier": "free",
    "key": Secret("GROQ_API_KEY"),
}
ROUTE: dict[str, Any] = {"name": "default", "cascade": ["local"]}
GATEWAY: dict[str, Any] = {
    "image": f"ghcr.io/berriai/litellm:v1.104.0@sha256:{SHA}",
    "master_key": Secret("LITELLM_MASTER_KEY"),
}
OLLAMA: dict[str, Any] = {
    "release": Release(**RELEASE),
    "home": "/opt/ollama",
    "state": "/var/lib/ollama",
    "models": "/m",
}
BRAIN: dict[str, Any] = {
    "user": "ann",
    "program": "/b",
    "settings": "/s",
    "gateway_url": "http://apex:4000",
    "key": Secret("KEY"),
}

WINDOWS_AGENT: dict[str, Any] = {
    "python": r"C:\ProgramData\ssh\llm-harness\python\python.exe -I",
    "home": r"C:\ProgramData\ssh\llm-harness",
    "runtime": Release(**RELEASE),
}
TOO_LONG = "C:\\ProgramData\\ssh\\" + "x" * 102
PLANTABLE = [  # where any user may put something, or what a shell would read in its own way
    *(r"C:\llm-harness", r"C:\ProgramData\llm-harness", r"C:\ProgramData\sshd\x", r"D:\ProgramData\ssh\x"),
    *(r"C:\ProgramData\ssh", r"C:\ProgramData\ssh\..", r"C:\ProgramData\ssh\..\x", r"C:\ProgramData\ssh\a b"),
    *("C:/ProgramData/ssh/x", r"C:\ProgramData\ssh\größe", "C:\\ProgramData\\ssh\\x\n"),
]
GOOD: list[tuple[type, dict[str, Any]]] = [
    (Release, RELEASE),
    (Model, MODEL),
    (Lane, LANE),
    (Route, ROUTE),
    (Gateway, GATEWAY),
    (Ollama, OLLAMA),
    (Brain, BRAIN),
    (Agent, {"python": "python3", "home": "/var/lib/x"}),
    (Agent, WINDOWS_AGENT),
    (GatewayPlace, {"home": "/opt/litellm"}),
    (Gpu, {"vram_gb": 24}),
    (Needs, {"programs": {"zstd": "install it"}}),
    (Secret, {"name": "KEY"}),
    (Ssh, {"drop_in": "/etc/ssh/x"}),
    (Tailnet, {}),
]
BAD: list[tuple[type, dict[str, Any], str, Any]] = [
    (Secret, {}, "name", "groq_api_key"),
    (Secret, {}, "name", ""),
    (Secret, {}, "name", "1KEY"),
    (Release, RELEASE, "url", "ftp://x/y"),
    (Release, RELEASE, "url", "https://a b"),
    (Release, RELEASE, "sha256", "0" * 63),
    (Release, RELEASE, "sha256", "A" * 64),
    (Release, RELEASE, "version", "../1.0"),
    (Release, RELEASE, "version", ""),
    (Model, MODEL, "tag", "gemma 3:4b"),
    (Model, MODEL, "digest", "0" * 11),
    (Model, MODEL, "digest", "sha256:00"),
    (Model, MODEL, "size_gb", -1),
    (Model, MODEL, "size_gb", "3"),
    (Model, MODEL, "vram_gb", True),
    (Model, MODEL, "context", 511),
    (Model, MODEL, "context", 8192.0),
    (Model, MODEL, "resident", 1),
    (Model, MODEL, "resident", "yes"),
    (Gpu, {"vram_gb": 24}, "reserved_gb", -0.5),
    (Ollama, OLLAMA, "port", 0),
    (Ollama, OLLAMA, "port", 65536),
    (Ollama, OLLAMA, "release", Release("0.23.2", "https://x", SHA)),
    (Ollama, OLLAMA, "release", "0.40.2"),
    (Lane, LANE, "name", "Groq"),
    (Lane, LANE, "name", ""),
    (Lane, LANE, "model", "gpt-oss"),
    (Lane, LANE, "tier", "cheap"),
    (Lane, LANE, "key", None),
    (Lane, LANE, "key", "GROQ_API_KEY"),
    (Lane, {**LANE, "tier": "premium"}, "key", None),
    (Lane, LANE, "stream_timeout_s", 0),
    (Lane, LANE, "stream_timeout_s", 61),
    (Lane, LANE, "requests_per_minute", -1),
    (Lane, LANE, "parameters", {"a": [1]}),
    (Lane, LANE, "parameters", {1: "a"}),
    (Route, ROUTE, "cascade", []),
    (Route, ROUTE, "cascade", ["local", "local"]),
    (Route, ROUTE, "cascade", "local"),
    (Route, ROUTE, "cascade", ["local", 1]),
    (Route, ROUTE, "cascade", {"local"}),
    (Route, ROUTE, "name", "Default Route"),
    (Route, ROUTE, "private", "yes"),
    (Gateway, GATEWAY, "image", "ghcr.io/berriai/litellm:v1.104.0"),
    (Gateway, GATEWAY, "image", f"ghcr.io/berriai/litellm@sha256:{SHA}"),
    *((Gateway, GATEWAY, "image", f"ghcr.io/x/litellm:{tag}@sha256:{SHA}") for tag in ("v1.82.7", "1.82.8")),
    (Gateway, GATEWAY, "port", 70000),
    (Gateway, GATEWAY, "publish", "lan"),
    (Gateway, GATEWAY, "network", "none"),
    (Gateway, GATEWAY, "environment", {"A": 1}),
    (Gateway, GATEWAY, "master_key", "sk-x"),
    (GatewayPlace, {"home": "/x"}, "network", "none"),
    (Tailnet, {}, "oldest_version", "new"),
    (Tailnet, {}, "key_days_left", -1),
    (Ssh, {"drop_in": "/x"}, "check", [1]),
    (Ssh, {"drop_in": "/x"}, "settings", {"Port": 22}),
    (Ssh, {"drop_in": "/x"}, "settings", {"listenaddress": "100.64.0.1"}),
    (Ssh, {"drop_in": "/x", "only_from": ["100.64.0.0/10"]}, "settings", {"AllowUsers": "owner"}),
    (Ssh, {"drop_in": "/x"}, "only_from", ["the tailnet"]),
    (Ssh, {"drop_in": "/x"}, "only_from", ["100.64.0.1/10"]),
    (Needs, {}, "programs", ["zstd"]),
    (Brain, BRAIN, "connect_timeout_s", "0.6"),
    (Agent, {"python": "python3"}, "home", None),
    *((Agent, WINDOWS_AGENT, "home", home) for home in PLANTABLE),
    (Agent, {**WINDOWS_AGENT, "python": rf"{TOO_LONG}\python\python.exe"}, "home", TOO_LONG),
    (Agent, WINDOWS_AGENT, "python", r"C:\Windows\py.exe -I"),
    (Agent, WINDOWS_AGENT, "python", r"C:\ProgramData\ssh\llm-harness\python.exe -I"),
]


def made(cls: type, fields: dict[str, Any]) -> Any:
    return cls(**fields)


@pytest.mark.parametrize(("cls", "fields"), GOOD, ids=lambda each: getattr(each, "__name__", ""))
class TestEveryClass:
    def test_is_made_and_frozen_and_printable(self, cls: type, fields: dict[str, Any]) -> None:
        one = made(cls, fields)
        assert one == made(cls, fields)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(one, dataclasses.fields(one)[0].name, None)
        assert set(json.loads(json.dumps(one.to_json()))) == {each.name for each in dataclasses.fields(one)}

    def test_unknown_field_is_refused(self, cls: type, fields: dict[str, Any]) -> None:
        with pytest.raises(Nonsense) as caught:
            made(cls, {**fields, "nonsuch": 1})
        assert str(caught.value).startswith(f"{cls.__name__}(")
        assert "unknown field 'nonsuch' (fields: " in str(caught.value)

    def test_missing_field_is_named(self, cls: type, fields: dict[str, Any]) -> None:
        for each in dataclasses.fields(cls):
            if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
                with pytest.raises(Nonsense) as caught:
                    made(cls, {key: value for key, value in fields.items() if key != each.name})
                assert cls.__name__ in str(caught.value)
                assert each.name in str(caught.value)


def test_every_class_of_data_is_tried() -> None:
    known = [each for part in (base, gateway, machine) for each in vars(part).values() if isinstance(each, type)]
    classes = {each for each in known if issubclass(each, base.Data)}
    assert classes - {base.Data, gateway.GatewayNative, gateway.Program} <= {cls for cls, _ in GOOD}


@pytest.mark.parametrize(
    ("cls", "fields", "name", "value"), BAD, ids=lambda each: str(getattr(each, "__name__", each))[:30]
)
def test_nonsense_names_class_field_and_value(cls: type, fields: dict[str, Any], name: str, value: Any) -> None:
    with pytest.raises(Nonsense) as caught:
        made(cls, {**fields, name: value})
    sentence = str(caught.value)
    shown = tuple(value) if isinstance(value, list) else value
    assert sentence.startswith(cls.__name__)
    assert f"{name} = {shown!r}" in sentence
    assert "\n" not in sentence


def test_lane_that_stays_needs_no_key() -> None:
    assert Lane("local", "ollama_chat/gemma3:4b", tier="local").key is None


@pytest.mark.parametrize(
    ("tag", "full"),
    [("gemma3", "gemma3:latest"), ("gemma3:4b", "gemma3:4b"), ("hf.co:443/a/b", "hf.co:443/a/b:latest")],
)
def test_tag_is_completed_as_ollama_does(tag: str, full: str) -> None:
    assert normalised(tag) == full


def test_model_without_a_version_is_the_latest() -> None:
    assert Model(**{**MODEL, "tag": "gemma3"}).tag == "gemma3:latest"


def test_gateway_takes_its_place() -> None:
    at = Gateway(**GATEWAY).at(GatewayPlace("/opt/litellm", "bridge", "http://host.docker.internal:11434"))
    assert (at.home, at.network, at.ollama_url) == ("/opt/litellm", "bridge", "http://host.docker.internal:11434")
    assert at.image == GATEWAY["image"]


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.lists(st.text(max_size=4), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.just(Secret("KEY")),
    st.sampled_from(["local", "free", "premium", "gemma3:4b", SHA, "groq/x"]),
)


@pytest.mark.parametrize(("cls", "fields"), [(Model, MODEL), (Lane, LANE), (Route, ROUTE)])
@given(st.data())
def test_nothing_is_accepted_that_is_not_of_its_type(cls: type, fields: dict[str, Any], data: st.DataObject) -> None:
    """Any value in any field: either it has the declared type and sense, or one sentence says what is wrong."""
    name = data.draw(st.sampled_from([each.name for each in dataclasses.fields(cls)]))
    value = data.draw(anything)
    try:
        one = made(cls, {**fields, name: value})
    except Nonsense as nonsense:
        assert cls.__name__ in str(nonsense)
        return
    usual = getattr(made(cls, fields), name)
    held = getattr(one, name)
    if isinstance(held, (int, float)):
        assert held >= 0
        assert isinstance(held, bool) == isinstance(usual, bool)
    for each in (usual, held):
        assert each is None or isinstance(each, (bool, int, float, str, tuple, dict, Secret))
    if usual is not None and held is not None:
        number = isinstance(usual, (int, float)) and isinstance(held, (int, float))
        assert number or isinstance(held, type(usual))
    if cls is Route:
        assert one.cascade and len(set(one.cascade)) == len(one.cascade)
    if cls is Lane:
        assert one.tier == "local" or one.key is not None


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_sizes_are_finite(value: float) -> None:
    with pytest.raises(Nonsense):
        Gpu(vram_gb=value)
