"""No value of a secret lies where just any user of the machine could find it."""

from __future__ import annotations

from . import desk
from .each import each, secrets
from .machine import Machine
from .saying import must, shown


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
