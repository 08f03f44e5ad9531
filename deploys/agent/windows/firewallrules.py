"""Firewall rules: read from where Windows keeps them, written by `netsh`. Rules of others that matter are told."""

from __future__ import annotations

from typing import Optional

from ..errors import Refused
from ..home import Home
from ..keeping import before, note_before
from ..system import Progress, State, System
from . import registry, rules, win32

NO_OTHERS: State = {"blocked_by": [], "opened_by": [], "widened_by": []}


def everything() -> list[State]:
    """The meaning of every local rule. What is no rule by the grammar is nobody's business."""
    found = (rules.tokens(str(data)) for _, data in (registry.values(rules.KEY) or {}).values())
    return [rules.meaning(each) for each in found if each]


class FirewallRules:
    """Kind `firewall_rule`. Identity: its name. Spec: see `rules.wanted`; {"enabled": False} alone: any such is off.

    State: {"as_wanted", "differs", "count", "blocked_by", "opened_by", "widened_by"} or None. `blocked_by`: rules of
    others that block what this one allows (a dismissed prompt leaves such, and Block wins); `opened_by`: those that
    let in the same from more places; `widened_by`: those of them that are not bound to addresses of these places.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        present = everything() if asked else []
        return {name: self._state(name, spec, present) for name, spec in asked.items()}

    @staticmethod
    def _state(name: str, spec: State, present: list[State]) -> Optional[State]:
        ours = _named(name, present)
        others = [each for each in present if each not in ours]
        if not ours:
            return None
        if rules.silences(spec):
            on = any(each["enabled"] for each in ours)
            return {"as_wanted": not on, "differs": ["enabled"] if on else [], "count": len(ours), **NO_OTHERS}
        wanted = rules.wanted(name, spec) if spec else ours[0]
        differs = sorted({key for each in ours for key in wanted if each[key] != wanted[key]} - {"name"})
        return {
            "as_wanted": len(ours) == 1 and not differs,
            "differs": differs,
            "count": len(ours),
            "blocked_by": sorted(each["name"] for each in others if rules.blocks(each, wanted)),
            "opened_by": sorted(each["name"] for each in others if rules.opens(each, wanted)),
            "widened_by": sorted(each["name"] for each in others if rules.widens(each, wanted)),
        }

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, spec. Changed in place: there is no moment without the rule."""
        name, spec = request["id"], request["spec"]
        if rules.silences(spec):
            return self._silence(name, spec)
        wanted = rules.wanted(name, spec)
        nonsense = rules.nonsense(name, wanted)
        if nonsense:
            raise Refused(f"set firewall rule {name}", nonsense, "correct it in group_data")
        note_before(self.home, "firewall_rule", name, _named(name, everything()), spec=spec)
        present = self.look({name: spec})[name]
        said = rules.arguments(wanted)
        if present is None:
            netsh("add", f"name={name}", *said)
        elif not present["as_wanted"] and present["count"] == 1 and present["differs"] != ["description"]:
            netsh("set", f"name={name}", "new", *(each for each in said if not each.startswith("description=")))
        if not self._good(name, spec):  # equal names, or what `set` cannot change
            netsh("delete", f"name={name}")
            netsh("add", f"name={name}", *said)
        if not self._good(name, spec):
            found = self.look({name: spec})[name] or {"differs": ["all of it"]}
            why = f"Windows keeps another {', '.join(found['differs'])}"
            raise Refused(f"set firewall rule {name}", why, "see that rule in the firewall on the machine")
        return {"firewall_rule": self.look({name: spec})}

    def _silence(self, name: str, spec: State) -> State:
        """What is off stays what it says: it comes back with one word."""
        present = _named(name, everything())
        note_before(self.home, "firewall_rule", name, present, spec=spec)
        if any(each["enabled"] for each in present):
            netsh("set", f"name={name}", "new", "enable=no")
            if not self._good(name, spec):
                raise Refused(f"switch firewall rule {name} off", "Windows leaves it on", "see who keeps it so there")
        return {"firewall_rule": self.look({name: spec})}

    def _good(self, name: str, spec: State) -> bool:
        return bool((self.look({name: spec})[name] or {}).get("as_wanted"))

    def remove(self, request: State, progress: Progress) -> State:
        """What others had under that name comes back."""
        name = request["id"]
        was, present = before(self.home, "firewall_rule", name) or [], _named(name, everything())
        same = [{**each, "enabled": True} for each in was] == [{**each, "enabled": True} for each in present]
        if same and was != present and all(each["enabled"] for each in was):
            netsh("set", f"name={name}", "new", "enable=yes")
        if not same and not rules.silences(self.home.entry("firewall_rule", name).get("spec", {})):
            if present:
                netsh("delete", f"name={name}")
            for each in was:
                netsh("add", f"name={name}", *rules.arguments(each))
        self.home.forget("firewall_rule", name)
        return {"firewall_rule": {name: None}}


def _named(name: str, present: list[State]) -> list[State]:
    return [each for each in present if each["name"].lower() == name.lower()]


def netsh(verb: str, *words: str) -> None:
    code, out, err = win32.run("netsh.exe", ["advfirewall", "firewall", verb, "rule", *words])
    if code:
        said = " ".join((out or err).decode("utf-8", "replace").split())[:300]
        raise Refused(f"{verb} firewall rule {words[0][5:]}", said, "connect as an administrator; see the rule's data")
