"""Which machines and which deploy files a command is about."""

from __future__ import annotations

import ast
from typing import Any

from scripts.desk import pyinfra
from scripts.desk.desk import Desk, Trouble, Wish

Machine = dict[str, Any]


def chosen(desk: Desk, wish: Wish) -> list[Machine]:
    """The machines of HOST=, or all. Raises Trouble naming the known ones when one is unknown."""
    machines = {each["name"]: each for each in pyinfra.inventory(desk)}
    for name in wish.hosts:
        if name not in machines:
            raise Trouble(f"there is no machine {name!r} in the inventory: it knows {', '.join(sorted(machines))}")
    return [machines[name] for name in dict.fromkeys(wish.hosts)] if wish.hosts else list(machines.values())


def one(desk: Desk, wish: Wish, command: str) -> Machine:
    """The one machine that the command needs."""
    if len(wish.hosts) != 1:
        known = ", ".join(sorted(each["name"] for each in pyinfra.inventory(desk)))
        raise Trouble(f"which machine? Say HOST= with one of {known}: `make {command} HOST=...`")
    return chosen(desk, wish)[0]


def arguments(desk: Desk, wish: Wish) -> list[str]:
    """What pyinfra must be told: inventory, the deploy file of every group, the limit."""
    limits = []
    if wish.hosts:  # costs a start of pyinfra, so only then
        limits = [part for machine in chosen(desk, wish) for part in ("--limit", machine["name"])]
    return [*limits, str(desk.inventory.relative_to(desk.root)), *deploy_files(desk)]


def deploy_files(desk: Desk) -> list[str]:
    """Every deploys/<group>.py: a group is what the inventory assigns at its top level."""
    try:
        tree = ast.parse(desk.inventory.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise Trouble(f"{desk.inventory.name} line {error.lineno} is not Python: {error.msg}") from None
    found = []
    for statement in tree.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        found += [target.id for target in targets if isinstance(target, ast.Name)]
    files = [f"deploys/{name}.py" for name in dict.fromkeys(found) if (desk.root / f"deploys/{name}.py").is_file()]
    if not files:
        raise Trouble(f"no group of {desk.inventory.name} has a deploys/<group>.py: name a group like its host file")
    return files
