"""What the lab needs of this computer, said in one sentence each; on Debian and Ubuntu root gets it installed."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lab.shell import Trouble, run
from tests.lab.steps import Steps

# program → the Debian package that brings it
ALWAYS = {
    "docker": "docker.io",
    "iptables": "iptables",
    "openssl": "openssl",
    "zstd": "zstd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
TO_BUILD = {"gcc": "gcc"}
TO_MAKE_THE_BASE = {"debootstrap": "debootstrap"}


def provide(steps: Steps, programs: dict[str, str]) -> None:
    """Install what is missing of `programs`, or say in one sentence what is and how to get it."""
    missing = sorted({package for program, package in programs.items() if not _there(program)})
    if "gcc" in missing:
        missing.append("libc6-dev")
    if not missing:
        return
    if not can_install():
        raise Trouble(
            f"the lab needs {', '.join(missing)}: sudo apt-get install {' '.join(missing)} "
            "(run as root on Debian or Ubuntu, the lab does that itself)"
        )
    with steps.step("packages", f"installing {', '.join(missing)}", "20-40 s"):
        install(missing)


def can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Install Debian packages, with fresh lists only if the old ones do not do. No service is left failing."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "a"}
    command = ["apt-get", "install", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120", *packages]
    try:
        run(command, env=quiet)
    except Trouble:
        run(["apt-get", "update"], trouble="apt-get cannot refresh its lists")
        run(command, env=quiet, trouble=f"cannot install {', '.join(packages)}: apt-get install {' '.join(packages)}")


def _there(program: str) -> bool:
    # sbin is not on everybody's PATH, and dockerd and debootstrap live there
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def right_kind_of_computer() -> None:
    """Refuse early what can't work: the lab's machines are amd64 Linux containers with a TUN device."""
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise Trouble(f"the lab needs Linux on x86-64, this is {sys.platform} on {os.uname().machine}")
    if not Path("/dev/net/tun").exists():
        raise Trouble("the lab's tailnet needs /dev/net/tun, which this computer lacks: modprobe tun")


def debian_mirrors() -> dict[str, str]:
    """Where apt itself gets Debian from: {"main": URI, "security": URI}; empty where it is no Debian."""
    if not shutil.which("apt-get"):
        return {}
    listing = ("apt-get", "indextargets", "--format", "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages")
    mirrors: dict[str, str] = {}
    for line in run(listing).splitlines():
        origin, codename, uri = line.split(" ", 2)
        if origin == "Debian" and re.fullmatch(r"[a-z]+(-security)?", codename):
            mirrors.setdefault("security" if codename.endswith("-security") else "main", uri)
    return mirrors
