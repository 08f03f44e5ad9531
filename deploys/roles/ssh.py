"""SSH: keys only. This is the way in: sshd itself must accept the file first, running sessions stay, and the machine
undoes a change that no fresh connection confirms."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.operations import files, service
from deploys.operations.guarded import guard
from deploys.schema import Ssh


@deploy("SSH")
def harden() -> None:
    """Our settings beside the system's, checked by sshd before they count, then read without a restart."""
    ssh: Ssh = host.data.ssh
    files.config(
        name="Keys only",
        dest=ssh.drop_in,
        text=files.rendered("ssh/sshd.conf.j2", settings=ssh.settings, only_from=ssh.only_from),
        check=ssh.check,
        proven_by=("service", ssh.service),
        guard=guard(reload=ssh.service),
    )
    service.reads(name="Have sshd read it", service=ssh.service, restarts_with=[ssh.drop_in], guard=guard())
