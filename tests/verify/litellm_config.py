"""The gateway's config.yaml as it lies on the machine, taken apart as LiteLLM reads it."""

from __future__ import annotations

from typing import Any

import yaml

SECTIONS = ("router_settings", "litellm_settings")  # LiteLLM takes its routing from either
FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")


def parsed(text: str | None) -> dict[str, Any] | None:
    """The configuration, or None when there is none that LiteLLM could read."""
    try:
        found = yaml.safe_load(text or "")
    except yaml.YAMLError:
        return None
    return found if isinstance(found, dict) else None


class Config:
    """One config.yaml."""

    def __init__(self, text: dict[str, Any]) -> None:
        self.text = text

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
