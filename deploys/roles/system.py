"""The machine itself: whatever of its variables, services, rules and programs the data names."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.operations import firewall, installer, reboot, settings, task


@deploy("System")
def apply() -> None:
    """What the data does not name stays as it is. A restart, if the machine waits for one and may, comes last."""
    data = host.data
    for variable in data.get("variables", ()):
        settings.variable(name=f"{_verb(variable.value)} {variable.id}", variable=variable)
    for entry in data.get("path_entries", ()):
        settings.path_entry(name=f"Find programs in {entry.directory}", entry=entry)
    for value in data.get("registry_values", ()):
        settings.registry_value(name=f"{_verb(value.data)} {value.name}", value=value)
    for power in data.get("power", ()):
        settings.power(name=f"Set {power.name}", power=power)
    for service in data.get("system_services", ()):
        settings.system_service(name=f"Set service {service.name}", service=service)
    for rule in data.get("firewall_rules", ()):
        firewall.rule(name=f"{'Set' if rule.enabled else 'Switch off'} rule {rule.name}", rule=rule)
    for feature in data.get("features", ()):
        settings.feature(name=f"Switch {feature.name} {'on' if feature.enabled else 'off'}", feature=feature)
    for program in data.get("installers", ()):
        installer.installed(name=f"Install {program.name}", installer=program)
    for each in data.get("tasks", ()):
        task.scheduled(name=f"Define task {each.name}", task=each)
    if data.get("reboot"):
        reboot.when_pending(name="Restart it if it waits for that", reboot=data.reboot)


def _verb(value: object) -> str:
    return "Have no" if value is None else "Set"
