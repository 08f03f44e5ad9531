"""The way in: sshd runs with our settings, and takes keys only."""

from __future__ import annotations

from .each import each, ssh_settings
from .machine import Machine
from .saying import must, must_be


@each("setting", ssh_settings)
def test_sshd_has_the_setting(machine: Machine, setting: tuple[str, str]) -> None:
    name, wanted = setting
    must(machine.ssh_settings, f"{machine.name}: sshd does not tell its settings: {machine.why('sshd')}")
    must_be(machine.name, f"sshd's setting {name}", machine.ssh_settings.get(name.lower()), str(wanted))


def test_sshd_takes_keys_only(machine: Machine) -> None:
    """Asked of the running sshd by somebody who offers nothing: its files may say what it has not read yet."""
    must_be(machine.name, "what the running sshd takes for a login", machine.ssh_methods, ["publickey"])
