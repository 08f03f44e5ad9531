"""What the data asks for, worked out without anything of deploys."""

from __future__ import annotations

from typing import Any

from tests.verify import expected, expected_linux
from tests.verify.desk import Expected

IMAGE = "a/b:v1.2.3@sha256:0f"
ENGINE = {"port": 11434, "models": "/m", "home": "/opt/ollama", "program": "bin/ollama", "release": {"version": "1"}}


def lane(name: str, model: str, tier: str = "free", **more: Any) -> dict[str, Any]:
    common: dict[str, Any] = {
        "api_base": None,
        "key": None,
        "timeout_s": 60,
        "stream_timeout_s": 20,
        "parameters": {},
        "context": None,
    }
    return {"name": name, "model": model, "tier": tier, **common, **more}


def route(name: str, *cascade: str, private: bool = False, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "cascade": list(cascade), "private": private, "parameters": parameters}


def machine(name: str = "apex", **data: Any) -> Expected:
    common: dict[str, Any] = {
        "gateway": {
            "port": 4000,
            "publish": "address",
            "master_key": {"name": "MASTER"},
            "image": IMAGE,
        },
        "gateway_place": {"home": "/opt/litellm", "ollama_url": "http://127.0.0.1:11434"},
        "models": [{"tag": "gemma3:27b", "context": 16384}],
        "lanes": [
            lane("local", "ollama_chat/gemma3:27b", "local"),
            lane("groq", "groq/x", key={"name": "GROQ"}, requests_per_minute=30, api_base="https://groq"),
            lane("gemini", "gemini/y", key={"name": "GEMINI"}),
        ],
        "routes": [route("default", "local", "groq", "gemini"), route("private", "local", private=True)],
    }
    return Expected(name, frozenset(), {**common, **data})


def wired(*everybody: Expected, secrets: tuple[str, ...] = ("MASTER", "GROQ", "GEMINI")) -> expected.Wanted:
    return expected.wiring(everybody[0], everybody, lambda name: name in secrets)


def test_a_lane_has_what_the_data_decides() -> None:
    found = wired(machine()).deployments
    assert found["groq"].parameters == {
        "model": "groq/x",
        "api_base": "https://groq",
        "api_key": "os.environ/GROQ",
        "timeout": 60,
        "stream_timeout": 20,
        "rpm": 30,
    }
    assert found["local"].parameters["api_base"] == "http://127.0.0.1:11434"
    assert found["local"].parameters["num_ctx"] == 16384


def test_a_route_is_its_first_lane_and_falls_back_to_the_others() -> None:
    found = wired(machine())
    assert found.deployments["default"].parameters == found.deployments["local"].parameters
    assert found.fallbacks == {"default": ["groq", "gemini"]}


def test_a_lane_without_its_key_is_nowhere() -> None:
    found = wired(machine(), secrets=("MASTER", "GEMINI"))
    assert "groq" not in found.deployments
    assert found.fallbacks == {"default": ["gemini"]}
    assert found.left_out == {"groq": "GROQ"}


def test_a_route_moves_up_to_its_first_lane_that_is_there_and_goes_with_its_last() -> None:
    routes = [route("code", "groq", "gemini", temperature=0), route("fast", "groq")]
    found = wired(machine(routes=routes), secrets=("MASTER", "GEMINI"))
    assert found.deployments["code"].parameters["model"] == "gemini/y"
    assert found.deployments["code"].parameters["temperature"] == 0
    assert "fast" not in found.deployments
    assert found.fallbacks == {}


def test_another_gateway_is_one_more_local_lane_behind_local() -> None:
    found = wired(machine(), machine("tower"))
    assert found.deployments["local-tower"].parameters["api_base"] == "http://tower:4000/v1"
    assert found.fallbacks["default"] == ["local-tower", "groq", "gemini"]
    assert found.fallbacks["private"] == ["local-tower"]


def test_the_image_pins_version_and_digest() -> None:
    gateway = machine()["gateway"]
    assert (expected.image_version(gateway), expected.image_digest(gateway)) == ("1.2.3", "sha256:0f")


def test_a_client_finds_its_gateway_by_name() -> None:
    apex = machine()
    for url in ("http://apex:4000", "https://apex.tail1234.ts.net"):
        client = Expected("g16", frozenset(), {"brain": {"gateway_url": url}})
        assert expected.door_of(client, [client, apex]) is apex
    assert expected.door_of(Expected("x", frozenset(), {"brain": {"gateway_url": "http://other"}}), [apex]) is None


def test_files_that_the_data_asks_for_and_who_may_read_them() -> None:
    brain = {"program": "/usr/local/bin/brain", "settings": "/home/me/.config/brain/settings", "user": "me"}
    found = {
        each.path: each.access for each in expected_linux.files(machine(brain=brain, agent={"home": "/var/lib/x"}))
    }
    assert found["/opt/litellm/gateway.env"] == "root 0600"
    assert found["/home/me/.config/brain/settings"] == "me 0600"
    assert found["/usr/local/bin/brain"] == "root 0755"
    assert found["/var/lib/x"] == "root 0700"


def test_the_engines_environment_stays_on_loopback() -> None:
    found = machine(ollama=ENGINE, ollama_environment={"OLLAMA_KEEP_ALIVE": "-1"})
    assert expected.ollama_environment(found) == {
        "OLLAMA_KEEP_ALIVE": "-1",
        "OLLAMA_HOST": "127.0.0.1:11434",
        "OLLAMA_MODELS": "/m",
    }
    assert expected.ollama_program(found) == "/opt/ollama/1/bin/ollama"
    assert expected.our_ports([found]) == [4000, 11434]
