"""The gateway's config.yaml as it lies on the machine, taken apart as LiteLLM reads it."""

from __future__ import annotations

from typing import Any

import yaml

from .machine import Machine
from .saying import fail

SECTIONS = ("router_settings", "litellm_settings")  # LiteLLM takes its routing from either
FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


class Config:
    """One config.yaml. Red where there is none, or none that LiteLLM could read."""

    def __init__(self, machine: Machine) -> None:
        if machine.config is None:
            fail(f"{machine.name}: the gateway's config.yaml cannot be read: {machine.why('config')}")
        try:
            self.text = yaml.safe_load(machine.config)
        except yaml.YAMLError as error:
            fail(f"{machine.name}: the gateway's config.yaml is no YAML: {' '.join(str(error).split())}")
        if not isinstance(self.text, dict):
            fail(f"{machine.name}: the gateway's config.yaml is no mapping, wanted LiteLLM's configuration")

    def setting(self, section: str, name: str) -> Any:
        return (self.text.get(section) or {}).get(name)

    @property
    def deployments(self) -> dict[str, list[dict[str, Any]]]:
        """{model_name: its litellm_params, one for each time it is listed}."""
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in self.text.get("model_list") or []:
            found.setdefault(entry["model_name"], []).append(entry["litellm_params"])
        return found

    def fallbacks(self, kind: str = "fallbacks") -> dict[str, list[str]]:
        """{model_name: where its requests go next}."""
        entries = [entry for section in SECTIONS for entry in self.setting(section, kind) or []]
        return {route: lanes for entry in entries for route, lanes in entry.items()}
