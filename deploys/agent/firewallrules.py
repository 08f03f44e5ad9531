"""Firewall rules: read from where Windows keeps them, written by `netsh`. Rules of others that matter are told."""

from __future__ import annotations

from typing import Optional

from . import rules, win32
from .errors import Refused
from .home import Home
from .system import Progress, State, System


def everything() -> list[State]:
    """The meaning of every local rule. What is no rule by the grammar is nobody's business."""
    found = (rules.tokens(str(data)) for _, data in (win32.values(rules.KEY) or {}).values())
    return [rules.meaning(each) for each in found if each]


class FirewallRules:
    """Kind `firewall_rule`. Identity: its name. Spec: see `rules.wanted`.

    State: {"as_wanted", "differs", "count", "blocked_by", "opened_by"} or None. `blocked_by`: rules of others that
    block what this one allows (a dismissed prompt leaves such, and Block wins); `opened_by`: those that let in more.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        present = everything() if asked else []
        return {name: self._state(name, spec, present) for name, spec in asked.items()}

    @staticmethod
    def _state(name: str, spec: State, present: list[State]) -> Optional[State]:
        ours = [each for each in present if each["name"].lower() == name.lower()]
        others = [each for each in present if each["name"].lower() != name.lower()]
        if not ours:
            return None
        wanted = rules.wanted(name, spec) if spec else ours[0]
        differs = sorted({key for each in ours for key in wanted if each[key] != wanted[key]} - {"name"})
        return {
            "as_wanted": len(ours) == 1 and not differs,
            "differs": differs,
            "count": len(ours),
            "blocked_by": sorted(each["name"] for each in others if rules.blocks(each, wanted)),
            "opened_by": sorted(each["name"] for each in others if rules.opens(each, wanted)),
        }

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, spec. Changed in place: there is no moment without the rule."""
        name, spec = request["id"], request["spec"]
        wanted = rules.wanted(name, spec)
        nonsense = rules.nonsense(name, wanted)
        if nonsense:
            raise Refused(f"set firewall rule {name}", nonsense, "correct it in group_data")
        self.home.remember("firewall_rule", name, spec=spec)
        present = self.look({name: spec})[name]
        said = rules.arguments(wanted)
        if present is None:
            _netsh("add", f"name={name}", *said)
        elif not present["as_wanted"] and present["count"] == 1 and present["differs"] != ["description"]:
            _netsh("set", f"name={name}", "new", *(each for each in said if not each.startswith("description=")))
        if not self._good(name, spec):  # equal names, or what `set` cannot change
            _netsh("delete", f"name={name}")
            _netsh("add", f"name={name}", *said)
        if not self._good(name, spec):
            found = self.look({name: spec})[name] or {"differs": ["all of it"]}
            why = f"Windows keeps another {', '.join(found['differs'])}"
            raise Refused(f"set firewall rule {name}", why, "see that rule in the firewall on the machine")
        return {"firewall_rule": self.look({name: spec})}

    def _good(self, name: str, spec: State) -> bool:
        return bool((self.look({name: spec})[name] or {}).get("as_wanted"))

    def remove(self, request: State, progress: Progress) -> State:
        name = request["id"]
        if self.look({name: {}})[name]:
            _netsh("delete", f"name={name}")
        self.home.forget("firewall_rule", name)
        return {"firewall_rule": {name: None}}


def _netsh(verb: str, *words: str) -> None:
    code, out, err = win32.run("netsh.exe", ["advfirewall", "firewall", verb, "rule", *words])
    if code:
        said = " ".join((out or err).decode("utf-8", "replace").split())[:300]
        raise Refused(f"{verb} firewall rule {words[0][5:]}", said, "connect as an administrator; see the rule's data")
