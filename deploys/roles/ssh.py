"""SSH: keys only. The running sessions stay, and sshd itself must accept the file first: this is the way in."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import deploy

from deploys.operations import files, service
from deploys.schema import Ssh


@deploy("SSH")
def harden() -> None:
    """Our settings beside the system's, checked by sshd before they count, then read without a restart."""
    ssh: Ssh = host.data.ssh
    files.config(
        name="Keys only",
        dest=ssh.drop_in,
        text=files.rendered("ssh/sshd.conf.j2", settings=ssh.settings),
        check=ssh.check,
    )
    service.reads(name="Have sshd read it", service=ssh.service, restarts_with=[ssh.drop_in])
