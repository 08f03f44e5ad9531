"""deploys/lib/litellm.py: lanes, routes and models in; what the templates need out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploys.lib.litellm import Deployment, Peer, Wiring, environment, secret_names, wire
from deploys.lib.litellm_check import check_config, check_environment
from deploys.schema import Lane, Nonsense, Route, Scalar, Secret
from tests.unit.gateway.samples import GATEWAY, LANES, MODELS, PRESENT, ROUTES, VALUES, render, sample_wiring


def deployment(wiring: Wiring, name: str) -> Deployment:
    return next(each for each in wiring.deployments if each.name == name)


def only(route: Route, lanes: Sequence[Lane] = LANES, peers: Sequence[Peer] = ()) -> Wiring:
    return wire(GATEWAY, lanes, [route], MODELS, present=PRESENT, peers=peers)


def test_lanes_stand_first_and_without_fallbacks_then_routes() -> None:
    wiring = sample_wiring()
    assert [each.name for each in wiring.deployments] == [
        *("local", "local-tools", "cerebras", "gemini", "anthropic"),
        *("default", "digest", "code", "claude-local", "private", "premium"),
    ]
    assert not set(wiring.fallbacks) & {lane.name for lane in LANES}


def test_a_route_is_its_first_lane_and_then_the_rest() -> None:
    wiring = sample_wiring()
    assert deployment(wiring, "default").model == "ollama_chat/gemma3:27b-it-qat"
    assert wiring.fallbacks["default"] == ("cerebras", "gemini")


def test_a_lane_without_its_key_is_left_out_and_said() -> None:
    wiring = sample_wiring()
    assert wiring.left_out == (("groq", "GROQ_API_KEY"),)
    assert deployment(wiring, "code").model == "cerebras/gpt-oss-120b"
    assert wiring.fallbacks["code"] == ("local",)
    assert wiring.notes == ("lane groq is left out: GROQ_API_KEY has no value",)


def test_a_route_without_any_lane_is_left_out_and_said() -> None:
    wiring = only(Route("fast", ("groq",)))
    assert wiring.routes_left_out == (("fast", "GROQ_API_KEY"),)
    assert "fast" not in {each.name for each in wiring.deployments}
    assert wiring.notes[1] == "route fast is left out: none of its lanes is there (give GROQ_API_KEY a value)"


def test_without_a_master_key_there_is_no_gateway() -> None:
    with pytest.raises(Nonsense, match="LITELLM_MASTER_KEY has no value"):
        wire(GATEWAY, LANES, ROUTES, MODELS, present=())


def test_premium_has_no_fallbacks_and_is_nobodys() -> None:
    wiring = sample_wiring()
    assert "premium" not in wiring.fallbacks
    assert not any("anthropic" in lanes for lanes in wiring.fallbacks.values())


@pytest.mark.parametrize(
    "route", [Route("p", ("local", "gemini"), private=True), Route("q", ("local", "anthropic")), Route("r", ("nope",))]
)
def test_routes_that_must_not_be_are_refused(route: Route) -> None:
    with pytest.raises(Nonsense, match=f"route '{route.name}'"):
        only(route)


def test_peers_follow_local_in_every_cascade() -> None:
    peers = [Peer("G16", "http://g16:4000"), Peer("tower", "http://tower:4000/")]
    wiring = wire(GATEWAY, LANES, ROUTES, MODELS, present=PRESENT, peers=peers)
    assert wiring.fallbacks["default"] == ("local-g16", "local-tower", "cerebras", "gemini")
    assert wiring.fallbacks["private"] == ("local-g16", "local-tower")
    assert "claude-local" not in wiring.fallbacks
    peer = deployment(wiring, "local-tower")
    assert (peer.model, peer.api_base, peer.key) == ("openai/local", "http://tower:4000/v1", "LITELLM_MASTER_KEY")
    assert (peer.timeout_s, peer.stream_timeout_s) == (300, 90)


def test_more_hops_than_litellms_own_limit_are_allowed_for() -> None:
    peers = [Peer(f"box{n}", f"http://box{n}:4000") for n in range(6)]
    assert only(ROUTES[0], peers=peers).max_fallbacks == 8


def test_a_peer_must_not_take_the_name_of_a_lane() -> None:
    with pytest.raises(Nonsense, match="local-tools twice"):
        only(ROUTES[0], peers=[Peer("tools", "http://tools:4000")])


def test_ollama_models_get_what_they_need() -> None:
    wiring = sample_wiring()
    gemma3, gemma4 = deployment(wiring, "local"), deployment(wiring, "local-tools")
    assert gemma3.parameters == {"num_ctx": 16384, "additional_drop_params": ("thinking", "reasoning_effort")}
    assert gemma4.parameters == {"num_ctx": 32768, "think": False}
    assert gemma3.zero_cost
    assert gemma3.max_input_tokens == 14336
    assert "keep_alive" not in {*gemma3.parameters, *gemma4.parameters}


def test_a_route_can_let_gemma4_think() -> None:
    wiring = only(Route("deep", ("local-tools",), parameters={"think": True}))
    assert deployment(wiring, "deep").parameters["think"] is True
    assert deployment(wiring, "local-tools").parameters["think"] is False


def test_a_routes_window_decides_what_fits_into_it() -> None:
    digest = deployment(sample_wiring(), "digest")
    assert digest.parameters["num_ctx"] == 8192
    assert digest.parameters["temperature"] == 0.2
    assert digest.max_input_tokens == 7168


def test_too_long_prompts_go_to_lanes_with_more_room() -> None:
    small = Lane("small", "ollama_chat/gemma3:27b-it-qat", "local", context=4096)
    wiring = only(Route("r", ("local", "small", "gemini")), [*LANES, small])
    assert wiring.fallbacks["r"] == ("small", "gemini")
    assert wiring.context_window_fallbacks["r"] == ("gemini",)


def test_a_local_lane_wants_a_model_of_this_machine() -> None:
    lane = Lane("other", "ollama_chat/gemma3:4b", "local")
    with pytest.raises(Nonsense, match="not among this machine's models"):
        only(Route("r", ("other",)), [lane])
    far = dataclasses.replace(lane, api_base="http://nas:11434", context=8192)
    assert deployment(only(Route("r", ("other",)), [far]), "r").api_base == "http://nas:11434"


def test_a_local_lane_must_say_where_it_is() -> None:
    with pytest.raises(Nonsense, match="api_base is missing"):
        only(Route("r", ("vllm",)), [Lane("vllm", "openai/gemma", "local")])


def test_a_placeholder_is_no_address() -> None:
    lane = Lane("cf", "cloudflare/@cf/x", "free", api_base="https://x/<account>/v1", key=Secret("GEMINI_API_KEY"))
    with pytest.raises(Nonsense, match="placeholder"):
        only(Route("r", ("cf",)), [lane])


@pytest.mark.parametrize("name", ["timeout", "api_base", "model", "input_cost_per_token"])
def test_parameters_must_not_repeat_a_field(name: str) -> None:
    with pytest.raises(Nonsense, match=f"'{name}'"):
        only(Route("r", ("local",), parameters={name: "x"}))


def test_every_secret_is_named_once() -> None:
    assert secret_names(GATEWAY, [*LANES, *LANES]) == (
        *("LITELLM_MASTER_KEY", "CEREBRAS_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_API_KEY"),
        "SLACK_WEBHOOK_URL",
    )


# ---- the environment file


def test_the_environment_holds_only_keys_in_use() -> None:
    values = {**VALUES, "GROQ_API_KEY": "unused", "SLACK_WEBHOOK_URL": "https://hooks/x", "HOME": "/root"}
    pairs = dict(environment(GATEWAY, sample_wiring(), values))
    assert "GROQ_API_KEY" not in pairs
    assert "HOME" not in pairs
    assert pairs["SLACK_WEBHOOK_URL"] == "https://hooks/x"
    assert pairs["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    check_environment(render("gateway.env.j2", environment=pairs.items()))


@pytest.mark.parametrize(
    "value", ["a\nb0123456789012345678", "x\r0123456789012345678", "*MASKED*", "it's", "a\\b", "${HOME}", "sk-1234"]
)
def test_values_that_a_file_cannot_carry_are_refused_without_showing_them(value: str) -> None:
    with pytest.raises(Nonsense, match="LITELLM_MASTER_KEY") as caught:
        environment(GATEWAY, sample_wiring(), {**VALUES, "LITELLM_MASTER_KEY": value})
    assert value not in str(caught.value).replace("text *MASKED*", "")


def test_odd_values_stand_as_they_are() -> None:
    values = {**VALUES, "GEMINI_API_KEY": "a 'b'#${c}\\\""}
    assert dict(environment(GATEWAY, sample_wiring(), values))["GEMINI_API_KEY"] == values["GEMINI_API_KEY"]


def test_a_secret_without_a_value_is_said() -> None:
    with pytest.raises(Nonsense, match="CEREBRAS_API_KEY has no value"):
        environment(GATEWAY, sample_wiring(), {"LITELLM_MASTER_KEY": "x" * 30})


# ---- whatever the data: the rendered file is right, premium stays alone, private stays at home

NAMES = ["local", "big", "cerebras", "gemini", "groq", "paid"]
PARAMETERS: dict[str, Scalar] = {"temperature": 0.5}


@st.composite
def gateways(draw: st.DrawFn) -> tuple[list[Lane], list[Route], list[str], list[Peer]]:
    tiers = {"local": "local", "big": "local", "cerebras": "free", "gemini": "free", "groq": "free", "paid": "premium"}
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    model = {
        "local": "ollama_chat/gemma3:27b-it-qat",
        "big": "ollama_chat/gemma4:e4b-it-qat",
        "paid": "anthropic/claude-x",
    }
    lanes = [
        Lane(
            name,
            model.get(name, f"{name}/m"),
            tiers[name],  # type: ignore[arg-type]
            key=None if tiers[name] == "local" else Secret(f"{name.upper()}_KEY"),
            context=draw(st.none() | st.integers(1000, 200_000)),
            requests_per_minute=draw(st.none() | st.integers(1, 99)),
        )
        for name in names
    ]
    routes = []
    for number in range(draw(st.integers(0, 5))):
        private = draw(st.booleans())
        fit = [lane.name for lane in lanes if lane.tier == "local" or (lane.tier == "free" and not private)]
        premium = [lane.name for lane in lanes if lane.tier == "premium"]
        choices = [st.lists(st.sampled_from(fit), min_size=1, unique=True)] if fit else []
        choices += [st.just(premium)] if premium and not private else []
        if choices:
            cascade = draw(st.one_of(choices))
            routes.append(Route(f"route{number}", tuple(cascade), private, draw(st.sampled_from([{}, PARAMETERS]))))
    keys = draw(st.sets(st.sampled_from([f"{name.upper()}_KEY" for name in NAMES])))
    peers = [Peer(f"box{n}", f"http://box{n}:4000") for n in range(draw(st.integers(0, 3)))]
    return lanes, routes, ["LITELLM_MASTER_KEY", *sorted(keys)], peers


@given(gateways())
def test_any_gateway_renders_to_a_right_file(
    drawn: tuple[list[Lane], list[Route], list[str], list[Peer]],
) -> None:
    lanes, routes, present, peers = drawn
    wiring = wire(GATEWAY, lanes, routes, MODELS, present=present, peers=peers)
    if not wiring.deployments:
        return  # no lane has its key
    text = render("config.yaml.j2", gateway=GATEWAY, wiring=wiring)
    check_config(text, GATEWAY, lanes, routes, present=present, peers=peers)

    config = yaml.safe_load(text)
    bases = {each["model_name"]: each["litellm_params"] for each in config["model_list"]}
    for section in ("fallbacks", "context_window_fallbacks"):
        for entry in config["router_settings"][section]:
            for source, targets in entry.items():
                route = next(each for each in routes if each.name == source)
                assert not any(bases[target]["model"].startswith("anthropic/") for target in targets)
                for name in [source, *targets] if route.private else []:
                    assert bases[name]["api_base"].startswith(("http://127.0.0.1:11434", "http://box"))
    said = {lane for lane, _ in wiring.left_out} | {route for route, _ in wiring.routes_left_out}
    assert said | set(bases) == {each.name for each in lanes} | {each.name for each in routes} | {
        f"local-{peer.machine}" for peer in peers
    }
