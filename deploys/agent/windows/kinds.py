"""The kinds of resources that only Windows has, by name."""

from __future__ import annotations

from typing import Any

from .environment import PathEntries, Variables
from .features import Features
from .firewallrules import FirewallRules
from .installers import Installers
from .nativeservices import NativeServices
from .power import Power
from .reboots import Reboots
from .registryvalues import RegistryValues
from .tasks import Tasks


def kinds() -> dict[str, Any]:
    """Each like those of `main.kinds`."""
    return {
        "variable": Variables,
        "path_entry": PathEntries,
        "task": Tasks,
        "firewall_rule": FirewallRules,
        "registry_value": RegistryValues,
        "windows_service": NativeServices,
        "feature": Features,
        "power": Power,
        "installer": Installers,
        "reboot": Reboots,
    }
