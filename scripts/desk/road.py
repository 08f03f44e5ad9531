"""The way to a machine by OpenSSH's own client: same address, user, key and configuration as pyinfra's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from scripts.desk.desk import Trouble
from scripts.desk.machines import Machine

# What pyinfra calls it, and what ssh does.
OPTIONS = {"ssh_port": "Port", "ssh_user": "User", "ssh_strict_host_key_checking": "StrictHostKeyChecking"}


def command(machine: Machine, options: Sequence[str] = (), program: str = "ssh") -> list[str]:
    """`ssh ... <address>`, to which a command may be added; or OpenSSH's sftp. Raises Trouble when it is not here."""
    if shutil.which(program) is None:
        raise Trouble(f"there is no {program} here: install openssh-client")
    data = machine["data"]
    line = [program]
    if data.get("ssh_config_file"):
        line += ["-F", _path(data["ssh_config_file"])]
    for name, option in OPTIONS.items():
        if data.get(name):
            line += ["-o", f"{option}={data[name]}"]
    if data.get("ssh_known_hosts_file"):
        line += ["-o", f"UserKnownHostsFile={_path(data['ssh_known_hosts_file'])}"]
    if data.get("ssh_key"):
        line += ["-i", _path(data["ssh_key"]), "-o", "IdentitiesOnly=yes"]
    return [*line, *options, "--", data.get("ssh_hostname") or machine["name"]]


def _path(text: str) -> str:
    return str(Path(text).expanduser())
