"""No value of a secret lies where just any user of the machine could find it."""

from __future__ import annotations

import ntpath
import posixpath
from typing import Any

from . import desk
from .each import each, secrets, where
from .machine import Machine
from .saying import must, shown, unless


@where("gateway")
def test_open_files_were_searched(machine: Machine, gateway: dict[str, Any]) -> None:
    """That nothing leaked is said of files that were read: a search that found none proves nothing."""
    home = machine.expected["gateway_place"]["home"]
    join = ntpath.join if "windows" in machine.expected.groups else posixpath.join
    path = join(home, "app", "config.yaml")
    unless(machine.config, f"{machine.name}: {path} cannot be read: test_config_is_one says so")
    must(
        path in machine.readable,
        f"{machine.name}: the search for secrets did not read {path}, which everybody may, wanted all such files read",
    )


@each("secret", secrets)
def test_secret_is_in_no_readable_file(machine: Machine, secret: str) -> None:
    value = desk.secret(secret)
    leaks = [path for path, text in machine.readable.items() if value and value in text]
    must(
        not leaks, f"{machine.name}: the value of {secret} is in {shown(leaks)}, wanted in no file that others can read"
    )


@each("secret", secrets)
def test_secret_is_not_on_display(machine: Machine, secret: str) -> None:
    value = desk.secret(secret)
    leaks = [what for what, text in machine.visible.items() if value and value in text]
    must(not leaks, f"{machine.name}: the value of {secret} is in {shown(leaks)}, wanted where no other user sees it")
