"""The lab's images. Each is made by running one script of recipes/ in a container and keeping what it left.

Only these containers ever reach out (apt, pip), over the computer's own network; nothing of them runs later.
"""

from __future__ import annotations

import configparser
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab import needs
from tests.lab.settings import HERE, PROJECT, Lab
from tests.lab.shell import Trouble, last_words, run, succeeds
from tests.lab.steps import Steps
from tests.lab.tools import download, key_of, wheel

# The one list of what the gateway is made of, in a container and without one.
GATEWAY_LOCK = HERE.parents[1] / "scripts" / "gateway" / "requirements.lock"
RECIPES, GATEWAY = HERE / "recipes", HERE / "gateway-image"
MACHINE_FILES = ("machine.sh", "compose.sh", "tailscaled.service", "tailscaled.default", "lab-authority.service")
WINDOWS_FILES = ("windows.sh", "windows.service", "windows-control", "docker-credential-desktop")
STANDIN_LOCK = HERE / "locks" / "standin.txt"
DEBOOTSTRAP_PACKAGES = "ca-certificates,python3"
PULL_TIMEOUT_S = 180
COMPOSE_LABEL = f"{PROJECT}.compose"
GATEWAY_CHANGES = ('ENTRYPOINT ["litellm"]', 'CMD ["--port", "4000"]', "EXPOSE 4000", "WORKDIR /app")
PIP_WISHES = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")


class Images:
    """Makes images, or finds them as an earlier run left them: tags carry a hash of what they were made from."""

    def __init__(self, lab: Lab, data: dict[str, Any], steps: Steps, online: bool) -> None:
        self.lab, self.data, self.steps, self.online = lab, data, steps, online
        inputs = [data["base"], RECIPES / "base.sh", RECIPES / "dpkg-lean"]
        self.base_tag = _tag("base", *inputs)
        self.services_tag = _tag("services", self.base_tag, RECIPES / "services.sh")
        self.machine_tag = _tag("machine", self.base_tag, data["compose"], *(RECIPES / name for name in MACHINE_FILES))
        windows_files = (RECIPES / name for name in WINDOWS_FILES)
        self.windows_tag = _tag("windows", self.machine_tag, STANDIN_LOCK, *windows_files)
        gateway_files = (GATEWAY / name for name in ("wheels.sh", "image.sh", "litellm"))
        self.gateway_tag = _tag("gateway", self.base_tag, GATEWAY_LOCK, *gateway_files)

    def base(self) -> str:
        """Make the base unless it is there. Returns how."""
        if _there(self.base_tag):
            return "local image"
        suite = self.data["base"]["suite"]
        raw, how = f"{PROJECT}/raw:{suite}", "local image"
        if not _there(raw):
            how = self._pull(raw) or self._debootstrap(raw)
        with self.steps.step("images", "base image", "5 s"):
            container = self._run(raw, RECIPES / "base.sh", None, None)
            # as one layer, so that what the script took out weighs nothing
            _import(["docker", "export", container], self.base_tag)
            run(["docker", "rm", container])
        return how

    def services(self) -> str:
        """The image of the lab's own servers; returns its tag."""
        if not _there(self.services_tag):
            with self.steps.step("images", "image of the lab's servers", "10-20 s"):
                self._make(self.services_tag, RECIPES / "services.sh")
        return self.services_tag

    def machine(self) -> None:
        if _there(self.machine_tag):
            return
        with self.steps.step("images", "image of the machines", "30-60 s"), tempfile.TemporaryDirectory() as parcel:
            package = self.data["compose"]["package"]
            how = self._compose(Path(parcel)) or f"Debian's package ({package['version']})"
            settings = {"COMPOSE_POOL": package["pool"], "COMPOSE_SHA256": package["sha256"]}
            changes = (f'LABEL {COMPOSE_LABEL}="{how}"',)
            self._make(self.machine_tag, RECIPES / "machine.sh", Path(parcel), settings, changes)

    def windows(self) -> None:
        """The machine that stands in for a Windows one; `machine` is its ground."""
        if _there(self.windows_tag):
            return
        with self.steps.step("images", "image of the Windows machine", "10 s"), tempfile.TemporaryDirectory() as parcel:
            wheel(STANDIN_LOCK, Path(parcel))
            self._make(self.windows_tag, RECIPES / "windows.sh", Path(parcel), ground=self.machine_tag)

    def compose_from(self) -> str:
        """Where the machines' Docker Compose came from."""
        template = f'{{{{index .Config.Labels "{COMPOSE_LABEL}"}}}}'
        return run(["docker", "image", "inspect", "--format", template, self.machine_tag]).strip()

    def _compose(self, parcel: Path) -> str | None:
        """Fetch the official plugin into the parcel; None where it can't be had."""
        if not self.online:
            return None
        release = self.data["compose"]["release"]
        try:
            download(release["url"], release["sha256"], parcel / "docker-compose")
        except Trouble as trouble:
            self.steps.say(f"Docker Compose: {trouble}; taking Debian's package")
            return None
        return f"official release ({release['version']})"

    def gateway(self, wheels: Callable[[], Path]) -> None:
        """LiteLLM's image, from the same locked `wheels` as the runtime without a container."""
        if _there(self.gateway_tag):
            return
        with tempfile.TemporaryDirectory() as parcel:
            shutil.copytree(wheels(), Path(parcel) / "wheels")
            shutil.copy(GATEWAY_LOCK, parcel)
            with self.steps.step("gateway image", "LiteLLM and its packages", "10-20 s"):
                self.fetch(GATEWAY / "wheels.sh", Path(parcel))
            with self.steps.step("gateway image", "gateway image", "30 s"):
                self._make(self.gateway_tag, GATEWAY / "image.sh", Path(parcel), changes=GATEWAY_CHANGES)
            # what the container left in the parcel is root's, so that only a container can clear it
            clearing = ["docker", "run", "--rm", "--network", "none", "--volume", f"{parcel}:/media", self.services_tag]
            run([*clearing, "find", "/media", "-mindepth", "1", "-delete"])

    def fetch(self, script: Path, parcel: Path) -> None:
        """Run a script that fetches packages into `parcel`, in a servers' container, which has pip."""
        run(["docker", "rm", self._run(self.services_tag, script, parcel, pip_settings())])

    def _pull(self, raw: str) -> str | None:
        if not self.online:
            return None
        name = self.data["base"]["pull"]
        with self.steps.step("images", f"pulling {name}", "10 s"):
            if not succeeds(["docker", "pull", "-q", name], timeout_s=PULL_TIMEOUT_S):
                return None
        run(["docker", "tag", name, raw])
        return f"pulled {name}"

    def _debootstrap(self, raw: str) -> str:
        suite, mirrors = self.data["base"]["suite"], needs.debian_mirrors()
        if "main" not in mirrors or os.geteuid() != 0:
            raise Trouble(
                f"no image registry answers, and without one the lab's Debian {suite} is made by debootstrap, which "
                "needs root on a Debian whose apt has a mirror: run this as root there, or connect to the internet"
            )
        needs.provide(self.steps, needs.TO_MAKE_THE_BASE)
        with tempfile.TemporaryDirectory(prefix="lab-base-") as scratch:
            root = Path(scratch) / "root"
            with self.steps.step("images", f"debootstrap of Debian {suite}", "40-60 s"):
                command = ["nice", "debootstrap", "--variant=minbase", f"--include={DEBOOTSTRAP_PACKAGES}", suite]
                sbin = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
                run([*command, root, mirrors["main"]], env=sbin, trouble="debootstrap failed")
                (root / "etc/apt/sources.list").write_text(_sources(suite, mirrors))
            _import(["tar", "-C", str(root), "-c", "."], raw)
        return "debootstrap"

    def _make(
        self,
        tag: str,
        script: Path,
        parcel: Path | None = None,
        settings: Mapping[str, str] | None = None,
        changes: Sequence[str] = (),
        *,
        ground: str = "",
    ) -> None:
        """Run `script` in a container of `ground` (the base image), and keep what it left as image `tag`."""
        container = self._run(ground or self.base_tag, script, parcel, settings)
        try:
            words = [word for change in changes for word in ("--change", change)]
            run(["docker", "commit", *words, container, tag])
        finally:
            run(["docker", "rm", "-f", container])

    def _run(self, image: str, script: Path, parcel: Path | None, settings: Mapping[str, str] | None) -> str:
        """Run `script` to its end in a container of `image`: its folder is /mnt there, `parcel` is /media."""
        name = f"{self.lab.container('making')}-{script.parent.name}-{script.stem}"
        succeeds(["docker", "rm", "-f", name])
        environment = {**proxies(), **(settings or {})}
        command = ["docker", "run", "--init", "--name", name, "--network", "host", "--label", self.lab.label]
        command += ["--volume", f"{script.parent}:/mnt:ro"]
        command += ["--volume", f"{parcel}:/media"] if parcel else []
        bundle = authorities()
        if bundle and "PIP_CERT" in environment:
            command += ["--volume", f"{bundle}:{environment['PIP_CERT']}:ro"]
        for variable in environment:
            command += ["--env", variable]  # by name: the value may hold a password
        run([*command, image, f"/mnt/{script.name}"], env=environment, trouble=f"{script.name} failed")
        return name


def proxies() -> dict[str, str]:
    """The proxies of this computer's environment."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {each: os.environ[each] for name in names for each in (name, name.upper()) if each in os.environ}


def pip_settings() -> dict[str, str]:
    """What pip was told here, in its files and in the environment, as a container's pip understands it."""
    wishes = {"PIP_" + wish.upper().replace("-", "_"): wish for wish in PIP_WISHES}
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(["/etc/pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"])
    told = parser["global"] if parser.has_section("global") else {}
    found = {variable: told[wish] for variable, wish in wishes.items() if wish in told}
    found |= {variable: os.environ[variable] for variable in wishes if variable in os.environ}
    return {**found, "PIP_CERT": "/srv/authorities.crt"} if authorities() else found


def authorities() -> str | None:
    """This computer's bundle of certificate authorities, which may hold one that its own network needs."""
    place = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    return place if place and Path(place).is_file() else None


def _import(archive: Sequence[str], tag: str) -> None:
    """Make an image of one layer from what the command `archive` writes."""
    source = subprocess.Popen(archive, stdout=subprocess.PIPE)
    done = subprocess.run(["docker", "import", "-", tag], stdin=source.stdout, capture_output=True)
    if source.wait() or done.returncode:
        raise Trouble(f"Docker does not take {tag}: {last_words(done.stderr)}")


def _sources(suite: str, mirrors: Mapping[str, str]) -> str:
    lines = [f"deb {mirrors['main']} {suite} main", f"deb {mirrors['main']} {suite}-updates main"]
    if "security" in mirrors:
        lines.append(f"deb {mirrors['security']} {suite}-security main")
    return "\n".join(lines) + "\n"


def _tag(what: str, *inputs: Any) -> str:
    return f"{PROJECT}/{what}:{key_of(*inputs)}"


def _there(tag: str) -> bool:
    return succeeds(["docker", "image", "inspect", tag])
