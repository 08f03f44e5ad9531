"""The lab's machines: booted with systemd in containers, bare as their owner left them."""

from __future__ import annotations

import io
import os
import tarfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.lab.containers import FOUND, MADE, STARTED, Docker
from tests.lab.settings import HERE, LINUX, WINDOWS, Lab
from tests.lab.shell import Trouble, run
from tests.lab.tools import Tool

# What systemd, Docker and a TUN device need. Never --privileged.
CAPABILITIES = (
    *("SYS_ADMIN", "NET_ADMIN", "NET_RAW", "SYS_PTRACE", "MKNOD", "LINUX_IMMUTABLE", "IPC_LOCK", "SYSLOG"),
    "DAC_READ_SEARCH",
)
BOOT_TIMEOUT_S = 90
DESK_USER_ID = 1000
SYSTEM_LABEL = "system"
STANDIN = HERE.parent / "windows" / "standin"


class Machine:
    """One machine of the lab. Its identity (host keys, tailnet state) outlives its container; nothing else does.

    `system`: LINUX, or WINDOWS for the stand-in. A machine of the other system is taken away, and this one is bare.
    """

    def __init__(self, docker: Docker, name: str, system: str = LINUX) -> None:
        self.docker, self.lab, self.name, self.system = docker, docker.lab, name, system
        self.drive = self.lab.volume(name, "windows")
        self.disk = self.lab.volume(name, "docker")
        self.tailnet_state = self.lab.volume(name, "tailnet")

    def ensure(self, image: str, tailscale: Tool) -> str:
        """Power it on, making it anew and bare if it is gone. Returns FOUND, STARTED or MADE."""
        found = self.docker.inspect(self.name)
        if found and found["Config"]["Labels"].get(SYSTEM_LABEL, LINUX) != self.system:
            run(["docker", "rm", "-f", self.lab.container(self.name)])
            found = None
        if found and self.docker.revive(self.name):
            if self.system == WINDOWS and _older_than_its_sources(found):
                run(["docker", "restart", self.lab.container(self.name)])
                return STARTED
            return FOUND if found["State"]["Running"] and not found["State"]["Paused"] else STARTED
        for volume in (self.disk, self.drive):
            self.docker.drop_volume(volume)
        for volume in (self.disk, self.tailnet_state, *([self.drive] if self.system == WINDOWS else [])):
            self.docker.ensure_volume(volume)
        self.docker.create(self.name, image, self._options(), ["/sbin/init"])
        run(["docker", "cp", "-a", "-", f"{self.lab.container(self.name)}:/"], stdin=self._belongings(tailscale))
        run(["docker", "start", self.lab.container(self.name)])
        return MADE

    def image(self) -> str:
        """The tag that it was made from."""
        found = self.docker.inspect(self.name)
        return str(found["Config"]["Image"]) if found else ""

    def await_boot(self) -> None:
        """Return when systemd says that the machine runs. Raises Trouble naming the units that failed."""
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        state = "no answer"
        while time.monotonic() < deadline:
            try:
                # exits 1 unless "running"; the word is what counts
                asked = "systemctl is-system-running --wait || true"
                state = self.docker.execute(self.name, "sh", "-c", asked, timeout_s=BOOT_TIMEOUT_S).strip()
            except Trouble:
                state = "no answer"
            if state in ("running", "degraded"):
                break
            time.sleep(0.3)
        if state != "running":
            failed = self.docker.execute(self.name, "sh", "-c", "systemctl --failed --plain --no-legend || true")
            units = ", ".join(line.split()[0] for line in failed.splitlines() if line.strip())
            raise Trouble(f"{self.name} does not boot: {state}{f', failed: {units}' if units else ''}")

    def _options(self) -> list[str]:
        lab, options = self.lab, ["--hostname", self.name, "--device", "/dev/net/tun", "--stop-signal", "SIGRTMIN+3"]
        for capability in CAPABILITIES:
            options += ["--cap-add", capability]
        options += ["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]
        # The runtime inside finds its control groups only in the host's own tree.
        options += ["--cgroupns", "host", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
        options += ["--tmpfs", "/run", "--tmpfs", "/run/lock", "--env", "container=docker"]
        options += ["--volume", f"{self.disk}:/var/lib/docker", "--volume", f"{self.tailnet_state}:/var/lib/tailscale"]
        options += ["--label", f"{SYSTEM_LABEL}={self.system}"]
        if self.system == WINDOWS:
            options += ["--volume", f"{self.drive}:/var/lib/windows"]
            options += ["--volume", f"{STANDIN}:/opt/standin/tests/windows/standin:ro"]
        for name, address in lab.production_names.items():
            options += ["--add-host", f"{name}:{address}"]
        return options

    def _belongings(self, tailscale: Tool) -> bytes:
        """An archive of what makes this machine itself: host keys, the owner's key, the lab's authority, Tailscale."""
        parcel = io.BytesIO()
        host_key = host_keys(self.lab) / self.name
        with tarfile.open(fileobj=parcel, mode="w") as archive:
            _put(archive, "etc/ssh/ssh_host_ed25519_key", host_key, 0o600)
            _put(archive, "etc/ssh/ssh_host_ed25519_key.pub", host_key.with_suffix(".pub"), 0o644)
            keys = self.lab.state / "key.pub"
            if self.system == WINDOWS:
                _put(archive, "etc/standin/keys", keys, 0o644)
                language = f"LAB_LANGUAGE={os.environ.get('LAB_LANGUAGE', 'en')}\n"
                _add(archive, "etc/standin/environment", language.encode())
            else:
                _put(archive, "home/desk/.ssh/authorized_keys", keys, 0o600, DESK_USER_ID)
            authority = self.lab.state / "tls" / "ca.crt"
            _put(archive, "usr/local/share/ca-certificates/lab-authority.crt", authority, 0o644)
            for program, place in (("tailscaled", "usr/sbin/tailscaled"), ("tailscale", "usr/bin/tailscale")):
                if (tailscale.folder / program).is_symlink():
                    entry = tarfile.TarInfo(place)
                    entry.type, entry.linkname = tarfile.SYMTYPE, "/usr/sbin/tailscaled"
                    archive.addfile(entry)
                else:
                    _put(archive, place, tailscale.folder / program, 0o755)
        return parcel.getvalue()


def _older_than_its_sources(found: Mapping[str, Any]) -> bool:
    """Whether the stand-in has run since before its present sources: it has read others."""
    started = datetime.fromisoformat(found["State"]["StartedAt"][:19] + "+00:00").timestamp()
    return any(each.stat().st_mtime > started for each in STANDIN.glob("*.py"))


def host_keys(lab: Lab) -> Path:
    return lab.state / "host-keys"


def make_keys(lab: Lab, machines: tuple[str, ...]) -> None:
    """The owner's key and each machine's host key, unless they are there. So host keys are known before the boot."""
    host_keys(lab).mkdir(mode=0o700, exist_ok=True)
    wanted = {lab.state / "key": "desk of the lab", **{host_keys(lab) / name: name for name in machines}}
    for path, comment in wanted.items():
        if not path.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])


def _put(archive: tarfile.TarFile, place: str, source: Path, mode: int, owner: int = 0) -> None:
    _add(archive, place, source.read_bytes(), mode, owner)


def _add(archive: tarfile.TarFile, place: str, content: bytes, mode: int = 0o644, owner: int = 0) -> None:
    entry = tarfile.TarInfo(place)
    entry.size, entry.mode, entry.uid, entry.gid = len(content), mode, owner, owner
    archive.addfile(entry, io.BytesIO(content))
