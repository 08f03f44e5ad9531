"""Brings the lab up, in the order that keeps both cores busy, and writes down where everything is."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.lab import needs, windows
from tests.lab.archive import OllamaArchive, ollama_archive
from tests.lab.certificates import make_authority, make_certificate
from tests.lab.containers import MADE, Docker
from tests.lab.docker_engine import ensure_engine
from tests.lab.images import Images
from tests.lab.machines import Machine, host_keys, make_keys
from tests.lab.models import Published, publish
from tests.lab.push import Registry
from tests.lab.settings import (
    CLOUD_CONTROL_PORT,
    CLOUD_PORTS,
    HERE,
    MACHINES,
    STORE_CONTROL_PORT,
    STORE_NAMES,
    TAILNET_DOMAIN,
    WINDOWS,
    Lab,
    versions,
)
from tests.lab.shell import Trouble, stop_children, write_private
from tests.lab.steps import Steps
from tests.lab.tailnet import CONTROL_NAME, Tailnet, warm_up
from tests.lab.tools import Tool, Workshop
from tests.lab.wheels import Wheels, wheels
from tests.lab.wheels import publish as publish_wheels

ANSWER_TIMEOUT_S = 30
IMAGE_HOST = "ghcr.io"
# Two labs may be started at once, one lab only once at a time.
LOCKED = "lab {name!r} is being brought up or down by somebody else: wait for it to end"


@contextmanager
def locked(lab: Lab) -> Iterator[None]:
    """Hold this lab for ourselves. The kernel lets go of the lock when the process ends, however it ends."""
    lab.states.mkdir(parents=True, exist_ok=True)
    with (lab.states / f"{lab.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Trouble(LOCKED.format(name=lab.name)) from None
        yield


def up(lab: Lab, steps: Steps) -> dict[str, Any]:
    """Everything from whatever is there to a running lab. Returns what lab.json says."""
    needs.right_kind_of_computer()
    with locked(lab), ThreadPoolExecutor() as pool:
        try:
            return _Rise(lab, steps, pool).rise()
        except BaseException:
            stop_children()
            raise


class _Rise:
    """One bringing-up: the parts that wait for each other, and what they found."""

    def __init__(self, lab: Lab, steps: Steps, pool: ThreadPoolExecutor) -> None:
        self.lab, self.steps, self.pool = lab, steps, pool
        self.data = versions()
        self.is_windows = lab.systems["apex"] == WINDOWS
        self.for_windows: dict[str, Any] = {}
        self.docker = Docker(lab)
        self.tailnet = Tailnet(self.docker)
        self.registry = Registry(IMAGE_HOST, lab.ip("images"), lab.state / "tls" / "ca.crt")

    def rise(self) -> dict[str, Any]:
        lab, steps, pool = self.lab, self.steps, self.pool
        needs.provide(steps, needs.ALWAYS)
        shop = Workshop(lab, self.data, steps)
        if not shop.online:
            steps.say("no way to the official releases: what is missing is built from package registries")
        if any(shop.cached(name) is None for name in self.data["tools"]):
            needs.provide(steps, needs.TO_BUILD)
        # One after the other: each build alone keeps all cores busy.
        tools = self._build_in_turn(shop, ("tailscale", "headscale", "ollama"))
        services: Future[str] = Future()
        archive = pool.submit(lambda: ollama_archive(shop, tools["ollama"].result(), services))
        ensure_engine(lab, steps)
        lab.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_secrets()
        images = Images(lab, self.data, steps, shop.online)
        base_how = images.base()
        machine_image = pool.submit(self._machine_images, images)
        services.set_result(images.services())
        self.docker.ensure_network()
        self._names(images)
        clouds = pool.submit(self._clouds, images)
        packages = pool.submit(self._wheels, images, shop.online)
        gateway = pool.submit(self._gateway_image, images, packages)
        models = self._models()
        store = pool.submit(self._store, images, archive)
        machine_image.result()
        tailscale = tools["tailscale"].result()
        with steps.step("boot", "booting the machines", "5-15 s"):
            self._boot(images, tailscale)
        headscale = tools["headscale"].result()
        with steps.step("tailnet", "tailnet", "10 s"):
            self.tailnet.ensure_control(images.services_tag, headscale)
            self.tailnet.ensure_desk(images.services_tag, tailscale)
            self.docker.service("neighbour", images.services_tag, ["--hostname", "neighbour"], ["sleep", "infinity"])
            addresses = {role: self.tailnet.join(role) for role in (*MACHINES, "desk")}
            ssh_config = self._write_ssh_config()
            list(pool.map(lambda name: warm_up(str(ssh_config), name, _nothing(self.lab.systems[name])), MACHINES))
        store.result()
        clouds.result()
        made = {name: tool.result() for name, tool in tools.items()}
        built = {name: f"{tool.how} ({tool.version})" for name, tool in made.items()}
        built |= {"base image": base_how, "compose": images.compose_from()}
        lab_json = self._describe(addresses, archive.result(), models, gateway.result(), built)
        lab_json["uv"] = packages.result().uv
        if self.is_windows:
            lab_json["windows"]["native"] = windows.publish_native(lab.state / "store", packages.result())
        write_private(lab.state / "lab.json", json.dumps(lab_json, indent=1) + "\n")
        return lab_json

    def _build_in_turn(self, shop: Workshop, names: tuple[str, ...]) -> dict[str, Future[Tool]]:
        tools: dict[str, Future[Tool]] = {}
        before: Future[Tool] | None = None
        for name in names:
            tools[name] = before = self.pool.submit(_after, before, shop.tool, name)
        return tools

    def _make_secrets(self) -> None:
        tls = self.lab.state / "tls"
        make_authority(tls, self.lab.name)
        make_certificate(tls, "store", STORE_NAMES)
        make_certificate(tls, "images", (IMAGE_HOST,))
        make_certificate(tls, "control", (CONTROL_NAME,))
        make_keys(self.lab, MACHINES)

    def _models(self) -> dict[str, Published]:
        root = self.lab.state / "store" / "registry"
        with self.steps.step("models", "models that say their sentence"):
            return {tag: publish(root, tag, model["says"]) for tag, model in self.data["models"].items()}

    def _store(self, images: Images, archive: Future[OllamaArchive]) -> None:
        """The store runs and holds Ollama's archive at its production address."""
        root, release = self.lab.state / "store", archive.result()
        url = urlsplit(self._ollama_url(release))
        place = root / "downloads" / url.netloc / url.path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or not place.samefile(release.path):
            place.unlink(missing_ok=True)
            try:
                os.link(release.path, place)
            except OSError:  # another file system
                shutil.copy2(release.path, place)
        if self.is_windows:
            self.for_windows = windows.publish(root, release)
        program = HERE / "store.py"
        mounts = (f"{root}:/srv/store:ro", f"{program}:/srv/store.py:ro", *self._key_mounts("store"))
        options = [word for mount in mounts for word in ("--volume", mount)]
        inputs = {"program": program.read_text(), "certificate": (self.lab.state / "tls" / "store.crt").read_text()}
        command = ["python3", "/srv/store.py", "/srv/store", "--tls", "/srv/tls.crt", "/srv/tls.key"]
        self.docker.service("store", images.services_tag, options, command, inputs)
        _await_answer(f"http://{self.lab.ip('store')}:{STORE_CONTROL_PORT}/faults", "the store")

    def _wheels(self, images: Images, online: bool) -> Wheels:
        """The store holds uv and all that the native gateway is made of."""
        found = wheels(images, self.data["uv"], online)
        publish_wheels(found, self.lab.state / "store")
        return found

    def _names(self, images: Images) -> None:
        program = HERE / "names.py"
        options = ["--volume", f"{program}:/srv/names.py:ro"]
        self.docker.service(
            "names", images.services_tag, options, ["python3", "/srv/names.py"], {"program": program.read_text()}
        )

    def _clouds(self, images: Images) -> None:
        program = HERE / "clouds"
        options = ["--volume", f"{program}:/srv/clouds:ro", "--workdir", "/srv", "--env", "PYTHONDONTWRITEBYTECODE=1"]
        sources = {each.name: each.read_text() for each in sorted(program.glob("*.py"))}
        self.docker.service("clouds", images.services_tag, options, ["python3", "-m", "clouds"], sources)
        _await_answer(f"http://{self.lab.ip('clouds')}:{CLOUD_CONTROL_PORT}/health", "the clouds")

    def _gateway_image(self, images: Images, packages: Future[Wheels]) -> str:
        """The gateway's image is in the lab's image registry. Returns it as production names it: name:tag@digest."""
        self._start_registry(images)
        about = self.data["gateway"]
        repository, tag = about["name"].removeprefix(f"{IMAGE_HOST}/"), f"v{about['version']}"
        digest = self.registry.digest(repository, tag)
        if digest is None:
            images.gateway(lambda: packages.result().folder / "wheels")
            with self.steps.step("gateway image", "pushing the gateway's image to the lab's registry", "10 s"):
                digest = self.registry.push(images.gateway_tag, repository, tag)
        return f"{about['name']}:{tag}@{digest}"

    def _start_registry(self, images: Images) -> None:
        # a registry of its own for each image: what is in it is then never in question
        shelf = self.lab.volume("images", images.gateway_tag.rpartition(":")[2])
        self.docker.ensure_volume(shelf)
        config = self.lab.state / "registry.yaml"
        config.write_text(REGISTRY_CONFIG)
        mounts = (f"{shelf}:/var/lib/registry", f"{config}:/etc/registry.yaml:ro", *self._key_mounts("images"))
        options = [word for mount in mounts for word in ("--volume", mount)]
        command = ["docker-registry", "serve", "/etc/registry.yaml"]
        self.docker.service("images", images.services_tag, options, command, {"config": REGISTRY_CONFIG})
        about = self.data["gateway"]["name"].removeprefix(f"{IMAGE_HOST}/")
        _await(lambda: self.registry.digest(about, "any"), "the image registry")

    def _key_mounts(self, server: str) -> tuple[str, str]:
        tls = self.lab.state / "tls"
        return f"{tls}/{server}.crt:/srv/tls.crt:ro", f"{tls}/{server}.key:/srv/tls.key:ro"

    def _machine_images(self, images: Images) -> None:
        images.machine()
        if self.is_windows:
            images.windows()

    def _boot(self, images: Images, tailscale: Tool) -> None:
        machines = [Machine(self.docker, name, self.lab.systems[name]) for name in MACHINES]
        self.lab.remember_systems()
        for machine in machines:
            image = images.windows_tag if machine.system == WINDOWS else images.machine_tag
            if machine.ensure(image, tailscale) == MADE:
                self.steps.say(f"{machine.name}: a new, bare machine")
            elif machine.image() != image:
                again = f"docker rm -f {self.lab.container(machine.name)}, then up, makes it anew"
                self.steps.say(f"{machine.name}: made from an older image, left as it is ({again})")
        list(self.pool.map(Machine.await_boot, machines))

    def _write_ssh_config(self) -> Path:
        state = self.lab.state
        known = []
        for name in MACHINES:
            kind, key, *_ = (host_keys(self.lab) / f"{name}.pub").read_text().split()
            known.append(f"{name},{name}.{TAILNET_DOMAIN} {kind} {key}\n")
        (state / "known_hosts").write_text("".join(known))
        path = state / "ssh_config"
        lines = (
            *(f"Host {name}\n  User {self._user(name)}" for name in MACHINES),
            f"Host {' '.join(MACHINES)}",
            f"ProxyCommand docker exec -i {self.lab.container('desk')} tailscale nc %h %p",
            f"IdentityFile {state}/key",
            "IdentitiesOnly yes",
            f"UserKnownHostsFile {state}/known_hosts",
            "StrictHostKeyChecking yes",
        )
        path.write_text("\n  ".join(lines).replace("\n  Host ", "\nHost ") + "\n")
        return path

    def _user(self, name: str) -> str:
        """Who may administer that machine."""
        return windows.USER if self.lab.systems[name] == WINDOWS else "desk"

    def _ollama_url(self, release: OllamaArchive) -> str:
        url: str = self.data["ollama_url"].format(version=release.version)
        return url

    def _describe(
        self,
        addresses: dict[str, str],
        archive: OllamaArchive,
        models: dict[str, Published],
        image: str,
        built: dict[str, str],
    ) -> dict[str, Any]:
        """lab.json: all that the inventory and the suites need to know."""
        lab = self.lab
        clouds = {name: f"http://clouds:{port}" for name, port in CLOUD_PORTS.items()}
        return {
            "name": lab.name,
            "machines": {
                name: {
                    **{"container": lab.container(name), "tailnet_ip": addresses[name], "lan_ip": lab.ip(name)},
                    **{"os": lab.systems[name], "user": self._user(name)},
                    **({"drive": windows.DRIVE} if lab.systems[name] == WINDOWS else {}),
                }
                for name in MACHINES
            },
            "desk": {"container": lab.container("desk"), "tailnet_ip": addresses["desk"]},
            "neighbour": {"container": lab.container("neighbour"), "lan_ip": lab.ip("neighbour")},
            "store": {"container": lab.container("store"), "control": f"http://{lab.ip('store')}:{STORE_CONTROL_PORT}"},
            "network": lab.network,
            "ssh_config": str(lab.state / "ssh_config"),
            "ollama": {"version": archive.version, "url": self._ollama_url(archive), "sha256": archive.sha256},
            "windows": self.for_windows,
            "models": {tag: vars(model) for tag, model in models.items()},
            "image": image,
            "clouds": {**clouds, "control": f"http://clouds:{CLOUD_CONTROL_PORT}"},
            "clouds_control": f"http://{lab.ip('clouds')}:{CLOUD_CONTROL_PORT}",
            "built": built,
            "timings_s": {part: round(took_s, 1) for part, took_s in self.steps.parts.items()},
        }


def _nothing(system: str) -> str:
    """A command that does nothing there."""
    return "ver" if system == WINDOWS else "true"


REGISTRY_CONFIG = """\
version: 0.1
log: {level: info, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: /var/lib/registry}
  delete: {enabled: true}
http:
  addr: :443
  tls: {certificate: /srv/tls.crt, key: /srv/tls.key}
"""


def _after(before: Future[Tool] | None, work: Callable[[str], Tool], name: str) -> Tool:
    if before is not None:
        before.result()
    return work(name)


def _await_answer(url: str, who: str) -> None:
    def ask() -> None:
        with urllib.request.urlopen(url, timeout=5):
            pass

    _await(ask, who)


def _await(ask: Callable[[], object], who: str) -> None:
    """Return when `ask` no longer fails to connect."""
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        try:
            ask()
            return
        except (urllib.error.URLError, OSError) as problem:
            if time.monotonic() > deadline:
                raise Trouble(f"{who} of the lab does not answer after {ANSWER_TIMEOUT_S} s: {problem}") from None
            time.sleep(0.2)
