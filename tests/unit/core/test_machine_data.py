"""What only the sum of a machine's data shows, and the data of this repository itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.schema import Gateway, Gpu, Lane, Model, Nonsense, Ollama, Release, Route, Secret
from deploys.schema.gateway import check_routes
from deploys.schema.whole import check_machine

ROOT = Path(__file__).resolve().parents[3]
SHA = "0" * 64
LOCAL = Lane("local", "ollama_chat/gemma3:4b", tier="local")
GROQ = Lane("groq", "groq/x", tier="free", key=Secret("GROQ_API_KEY"))
PREMIUM = Lane("anthropic", "anthropic/x", tier="premium", key=Secret("ANTHROPIC_API_KEY"))
LANES = (LOCAL, GROQ, PREMIUM)
OLLAMA = Ollama(Release("0.40.2", "https://x", SHA), "/o", "/s", "/m")


def model(tag: str, vram_gb: float, resident: bool = False) -> Model:
    return Model(tag, digest=SHA, size_gb=1, vram_gb=vram_gb, resident=resident)


def gateway(port: int) -> Gateway:
    return Gateway(f"x/litellm:v1@sha256:{SHA}", Secret("KEY"), port=port)


NONSENSE: dict[str, tuple[dict[str, Any], str]] = {
    "route to nowhere": (
        {"lanes": LANES, "routes": [Route("code", ["local", "nonsuch"])]},
        "apex: route 'code' leads to lane 'nonsuch', which does not exist (lanes: anthropic, groq, local)",
    ),
    "no lanes at all": ({"routes": [Route("code", ["local"])]}, "apex: route 'code' leads to lane 'local'"),
    "private and away": (
        {"lanes": LANES, "routes": [Route("private", ["local", "groq"], private=True)]},
        "apex: route 'private' is private and must not leave the tailnet, but lane 'groq' is free",
    ),
    "premium by accident": (
        {"lanes": LANES, "routes": [Route("code", ["local", "anthropic"])]},
        "apex: route 'code' has premium lane 'anthropic' in a cascade: premium is only called by name",
    ),
    "a port twice": (
        {"gateway": gateway(11434), "ollama": OLLAMA},
        "apex: gateway and ollama both want port 11434: change one of them",
    ),
    "a model twice": ({"models": [model("a:1", 1), model("a:1", 2)]}, "apex: models name a:1 twice: keep one"),
    "a lane twice": ({"lanes": [LOCAL, LOCAL]}, "apex: lanes and routes name local twice: keep one"),
    "a route named as a lane": (
        {"lanes": [LOCAL], "routes": [Route("local", ["local"])]},
        "apex: lanes and routes name local twice: keep one",
    ),
    "a model too big": (
        {"gpu": Gpu(8), "models": [model("big:70b", 40)]},
        "apex: big:70b takes 40 GB of VRAM and the card has 7 GB (8 less 1 reserved)",
    ),
    "residents too big": (
        {"gpu": Gpu(24), "models": [model("a:1", 12, True), model("b:1", 12, True), model("c:1", 20)]},
        "apex: resident models take 24 GB (a:1 12 + b:1 12) of 23 GB: make one not resident",
    ),
    "ollama opened": (
        {"ollama_environment": {"OLLAMA_HOST": "0.0.0.0"}},
        "apex: ollama_environment must not set OLLAMA_HOST",
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_one_sentence(name: str) -> None:
    data, sentence = NONSENSE[name]
    with pytest.raises(Nonsense) as caught:
        check_machine("apex", data)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_sense_passes() -> None:
    routes = [
        Route("default", ["local", "groq"]),
        Route("private", ["local"], private=True),
        Route("best", ["anthropic"]),
    ]
    models = [model("a:1", 12, True), model("b:1", 20)]
    check_machine("apex", {"lanes": LANES, "routes": routes, "gpu": Gpu(24), "models": models, "ollama": OLLAMA})
    check_machine("bare", {})


@given(st.lists(st.sampled_from(["local", "groq", "anthropic", "nonsuch"]), min_size=1, unique=True), st.booleans())
def test_no_wrong_cascade_passes(cascade: list[str], private: bool) -> None:
    wrong = "nonsuch" in cascade or ("anthropic" in cascade and len(cascade) > 1) or (private and cascade != ["local"])
    route = Route("r", cascade, private=private)
    if not wrong:
        check_routes("apex", LANES, [route])
        return
    with pytest.raises(Nonsense, match="route 'r'"):
        check_routes("apex", LANES, [route])


LOAD = """
import runpy, sys
from deploys.schema.whole import check_machine
inventory = runpy.run_path("inventory.py")
for machine in ("apex", "g16"):
    groups = ["all", machine, *(name for name in ("windows", "linux") if machine in inventory[name])]
    data = {}
    for group in groups:
        data.update(runpy.run_path(f"group_data/{group}.py"))
    check_machine(machine, data)
    print(machine, len(groups), data["agent"].home)
"""


def test_data_of_this_repository_loads_and_makes_sense() -> None:
    done = subprocess.run([sys.executable, "-c", LOAD], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["apex 3 C:\\ProgramData\\ssh\\llm-harness", "g16 3 /var/lib/llm-harness"]
