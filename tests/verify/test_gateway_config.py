"""The gateway's config.yaml on the machine: exactly the lanes and routes of the data, with exactly their fallbacks."""

from __future__ import annotations

from typing import Any

import pytest

from .each import deployments, each, private_routes, routes, where, wiring
from .expected import Deployment
from .litellm_config import FALLBACKS, SECTIONS, Config, parsed
from .machine import Machine
from .saying import must, must_be, shown


@pytest.fixture
def config(machine: Machine) -> Config:
    """The configuration of this test's machine."""
    text = parsed(machine.config)
    return Config(text) if text else pytest.skip(f"{machine.name}: config.yaml is none: test_config_is_one says so")


@where("gateway")
def test_config_is_one(machine: Machine, gateway: dict[str, Any]) -> None:
    must(machine.config is not None, f"{machine.name}: config.yaml cannot be read: {machine.why('config')}")
    must(parsed(machine.config), f"{machine.name}: config.yaml is no YAML mapping, wanted LiteLLM's configuration")


@each("deployment", deployments)
def test_config_has_the_deployment(machine: Machine, config: Config, deployment: Deployment) -> None:
    listed = config.deployments.get(deployment.name, [])
    must_be(machine.name, f"how often config.yaml lists {deployment.name}", len(listed), 1)
    for name in {"api_key": None, **deployment.parameters}:
        thing = f"{name} of {deployment.name} in config.yaml"
        must_be(machine.name, thing, listed[0].get(name), deployment.parameters.get(name))


@where("gateway")
def test_config_has_no_other_deployments(machine: Machine, config: Config, gateway: dict[str, Any]) -> None:
    extra = set(config.deployments) - set(wiring(machine.expected).deployments)
    must_be(machine.name, "undeclared models in config.yaml", extra, set())


@each("route", routes)
def test_config_has_the_fallbacks(machine: Machine, config: Config, route: tuple[str, list[str]]) -> None:
    name, wanted = route
    found = config.fallbacks().get(name, [])
    must_be(machine.name, f"where route {name} falls back to in config.yaml", found, wanted)


@where("gateway")
def test_config_has_no_other_fallbacks(machine: Machine, config: Config, gateway: dict[str, Any]) -> None:
    extra = set(config.fallbacks()) - set(wiring(machine.expected).fallbacks)
    must_be(machine.name, "undeclared fallbacks in config.yaml", extra, set())
    for section in SECTIONS:
        found = config.setting(section, "default_fallbacks") or []
        must_be(machine.name, f"default_fallbacks of {section} in config.yaml", found, [])


@where("gateway")
def test_failures_are_not_retried(machine: Machine, config: Config, gateway: dict[str, Any]) -> None:
    """LiteLLM's own default costs seconds before the first fallback of every request."""
    for section in SECTIONS:
        found = config.setting(section, "num_retries")
        must_be(machine.name, f"num_retries of {section} in config.yaml", found, 0)


@where("gateway")
def test_premium_is_nobodys_fallback(machine: Machine, config: Config, gateway: dict[str, Any]) -> None:
    premium = {name for name, each in wiring(machine.expected).deployments.items() if each.tier == "premium"}
    for kind in FALLBACKS:
        for route, lanes in config.fallbacks(kind).items():
            paid = sorted(premium & set(lanes))
            must(not paid, f"{machine.name}: {kind} of {route} lead to {shown(paid)}, wanted never a premium lane")


@each("route", private_routes)
def test_private_route_stays_local(machine: Machine, config: Config, route: str) -> None:
    wanted = wiring(machine.expected).deployments
    local = {name: each.parameters.get("api_base") for name, each in wanted.items() if each.tier == "local"}
    for listed in config.deployments.get(route, []):
        base = listed.get("api_base")
        must(base in local.values(), f"{machine.name}: private route {route} goes to {base}, wanted a local lane")
    for kind in FALLBACKS:
        away = sorted(set(config.fallbacks(kind).get(route, [])) - set(local))
        must(
            not away, f"{machine.name}: {kind} of private route {route} lead to {shown(away)}, wanted local lanes only"
        )
