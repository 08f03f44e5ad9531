"""Firewall rules: ours, and those of others that must be off."""

from __future__ import annotations

from typing import Any

from pyinfra import host
from pyinfra.api.operation import OperationMeta

from deploys.facts import report
from deploys.operations.guarded import guard
from deploys.operations.resource import Found, Resource, wanted
from deploys.schema import FirewallRule


def rule(name: str, rule: FirewallRule) -> OperationMeta:
    """Have the rule in force, changed in place; or, for `enabled=False`, have whatever is called so switched off.

    Whatever it says, it may shut us out: undone unless a fresh connection comes through. Rules of others that stand
    against it, or open the same to more, are told: they are theirs, so they stay.
    """
    spec = _spec(rule)

    def differs(found: Found) -> str | None:
        if found is None:
            return "missing" if rule.enabled else None
        _tell(rule, found)
        if found["as_wanted"]:
            return None
        if not rule.enabled:
            return "is on"
        twice = f"there are {found['count']} of that name" if found["count"] > 1 else ""
        return twice or f"differs in {', '.join(found['differs'])}"

    def difference(found: Found) -> str:
        return "" if found else "\n".join(f"+{key}: {_spoken(value)}" for key, value in spec.items() if value)

    resource = Resource(
        "firewall_rule",
        rule.name,
        differs,
        lambda: {"spec": spec},
        difference=difference,
        when_right="ensure",
        guard=guard(),
    )
    return wanted(name, resource, spec)


def _spec(rule: FirewallRule) -> dict[str, Any]:
    if not rule.enabled:
        return {"enabled": False}
    return {key: value for key, value in rule.to_json().items() if key not in ("name", "enabled")}


def _tell(rule: FirewallRule, found: dict[str, Any]) -> None:
    for each in found["blocked_by"]:
        report.note(host, f"firewall rule {each!r} of somebody else blocks what {rule.name!r} lets in: remove it there")
    for each in found["widened_by"]:
        report.note(host, f"firewall rule {each!r} of somebody else opens what {rule.name!r} opens to more: see there")


def _spoken(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
