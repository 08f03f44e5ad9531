"""A path that the machine would read in another way is refused on the desk, by the name of its place in the data."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.schema import Agent, GatewayNative, GatewayPlace, Nonsense, Ollama, Program, Release, Ssh
from deploys.schema.whole import check_machine

RELEASE = Release("0.40.2", "https://x", "0" * 64)
WINDOWS = Agent(python="python3", home=r"C:\ProgramData\harness")
LINUX = Agent(python="python3", home="/var/lib/harness")
WRONG_ON_WINDOWS = [
    "litellm",
    r"\litellm",
    "C:litellm",
    "C:/litellm",
    "/opt/litellm",
    r"C:\litellm/app",
    "C:\\litellm\\",
    r"C:\litellm\..\Windows",
    r"C:\lite*llm",
    "C:\\lite\nllm",
    r"\\server\share",
]
WRONG_ON_LINUX = ["litellm", "./litellm", "/opt/litellm/", "/opt//litellm", "/opt/../etc", r"C:\litellm"]


@pytest.mark.parametrize(
    ("agent", "home"), [(WINDOWS, each) for each in WRONG_ON_WINDOWS] + [(LINUX, each) for each in WRONG_ON_LINUX]
)
def test_another_form_is_refused(agent: Agent, home: str) -> None:
    place = GatewayPlace(home=home, network="host", ollama_url="http://127.0.0.1:11434")
    with pytest.raises(Nonsense) as caught:
        check_machine("apex", {"agent": agent, "gateway_place": place})
    assert str(caught.value).startswith(f"apex: gateway_place.home = {home!r} is no full path such as ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("home", ["/o", "C:/o"])
def test_each_place_is_looked_at(home: str) -> None:
    uv, python = Program("uv", home, RELEASE), Program("python", r"C:\Python", RELEASE)
    every: dict[str, Any] = {
        "ollama": Ollama(RELEASE, r"C:\o", home, r"C:\m"),
        "gateway_native": GatewayNative(uv=uv, python=python, venvs=r"C:\v", inside="python.exe", state=r"C:\s"),
        "ssh": Ssh(drop_in=home),
    }
    for name, field in {"ollama": "state", "gateway_native": "uv.home", "ssh": "drop_in"}.items():
        with pytest.raises(Nonsense, match=rf"apex: {name}.{field} = "):
            check_machine("apex", {"agent": WINDOWS, name: every[name]})


def test_what_the_machine_has_itself_needs_no_place() -> None:
    native = GatewayNative(
        uv=Program("/o/uv", "/o", RELEASE), python=Program("/usr/bin/python3"), venvs="/v", inside="python", state="/s"
    )
    check_machine("apex", {"agent": LINUX, "gateway_native": native, "ollama": Ollama(RELEASE, "/o", "/s", "/m")})
