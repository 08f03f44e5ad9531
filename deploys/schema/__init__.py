"""What the data in `inventory.py` and `group_data/` is made of.

Each class is frozen and typed and refuses nonsense with one sentence that names the field and the value.
"""

from __future__ import annotations

from deploys.schema.base import Data, Nonsense, Release, Scalar, Secret
from deploys.schema.docker import DockerDesktop
from deploys.schema.gateway import STOLEN_CREDENTIAL_BUILDS, Gateway, GatewayNative, GatewayPlace, Lane, Program, Route
from deploys.schema.machine import Agent, Brain, Gpu, Model, Needs, Ollama, Ssh, Tailnet, normalised
from deploys.schema.system import (
    TAILNET,
    Feature,
    FirewallRule,
    Installer,
    PathEntry,
    Power,
    Reboot,
    RegistryValue,
    ScheduledTask,
    SystemService,
    Trigger,
    Variable,
)

__all__ = [
    "STOLEN_CREDENTIAL_BUILDS",
    "TAILNET",
    "Agent",
    "Brain",
    "Data",
    "DockerDesktop",
    "Feature",
    "FirewallRule",
    "Gateway",
    "GatewayNative",
    "GatewayPlace",
    "Gpu",
    "Installer",
    "Lane",
    "Model",
    "Needs",
    "Nonsense",
    "Ollama",
    "PathEntry",
    "Power",
    "Program",
    "Reboot",
    "RegistryValue",
    "Release",
    "Route",
    "Scalar",
    "ScheduledTask",
    "Secret",
    "Ssh",
    "SystemService",
    "Tailnet",
    "Trigger",
    "Variable",
    "normalised",
]
