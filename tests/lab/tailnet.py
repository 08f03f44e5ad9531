"""The lab's tailnet: headscale as its control, the machines and the desk as its members."""

from __future__ import annotations

import json
import time
from typing import Any

import yaml

from tests.lab.containers import Docker
from tests.lab.settings import TAILNET_DOMAIN
from tests.lab.shell import Trouble, run, write_private
from tests.lab.tools import Tool

CONTROL_PORT = 8443
CONTROL_NAME = "control"
HOME = "/var/lib/headscale"
OWNER = "owner"
KEY_FILE = "/run/tailnet-key"
ANSWER_TIMEOUT_S = 40


class Tailnet:
    """Control and membership. Keys travel on stdin and lie in a file only while they are used."""

    def __init__(self, docker: Docker) -> None:
        self.docker, self.lab = docker, docker.lab
        # TLS, because its relay is reached in no other way
        self.url = f"https://{CONTROL_NAME}:{CONTROL_PORT}"

    def ensure_control(self, image: str, headscale: Tool) -> str:
        """headscale runs and knows its one user when this returns."""
        volume = self.lab.volume("control", "data")
        self.docker.ensure_volume(volume)
        config = self.lab.state / "headscale.yaml"
        write_private(config, yaml.safe_dump(self._config(), sort_keys=False))
        tls = self.lab.state / "tls"
        mounts = (
            f"{volume}:{HOME}",
            f"{config}:/etc/headscale/config.yaml:ro",
            f"{headscale.folder}/headscale:/usr/bin/headscale:ro",
            f"{tls}/control.crt:/srv/tls.crt:ro",
            f"{tls}/control.key:/srv/tls.key:ro",
        )
        options = [word for mount in mounts for word in ("--volume", mount)]
        how = self.docker.service("control", image, options, ["headscale", "serve"], self._config())
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            try:
                users = json.loads(self._headscale("users", "list") or "null") or []
                break
            except (Trouble, json.JSONDecodeError) as trouble:
                if time.monotonic() > deadline:
                    raise Trouble(f"headscale does not answer after {ANSWER_TIMEOUT_S} s: {trouble}") from None
                time.sleep(0.3)
        if not any(user["name"] == OWNER for user in users):
            self._headscale("users", "create", OWNER)
        return how

    def ensure_desk(self, image: str, tailscale: Tool) -> str:
        """The desk's container: a tailscaled in user space, that is all."""
        programs = (
            f"{tailscale.folder}/tailscaled:/usr/sbin/tailscaled:ro",
            f"{tailscale.folder}/tailscale:/usr/bin/tailscale:ro",
        )
        volume = self.lab.volume("desk", "tailnet")
        self.docker.ensure_volume(volume)
        mounts = (*programs, f"{volume}:/var/lib/tailscale", f"{self.lab.state}/tls/ca.crt:/srv/ca.crt:ro")
        options = [word for mount in mounts for word in ("--volume", mount)]
        options += ["--hostname", "desk", "--add-host", f"{CONTROL_NAME}:{self.lab.ip('control')}"]
        options += ["--env", "TS_DISABLE_PORTMAPPER=1", "--env", "SSL_CERT_FILE=/srv/ca.crt"]
        daemon = (
            "exec tailscaled --tun=userspace-networking --statedir=/var/lib/tailscale --port=0 --no-logs-no-support"
        )
        command = ["sh", "-c", f"mkdir -p /run/tailscale && {daemon} 2>/var/log/tailscaled.log"]
        return self.docker.service("desk", image, options, command)

    def join(self, role: str) -> str:
        """Make sure `role` is a running member; returns its tailnet IPv4 address."""
        status = self._await_daemon(role)
        if status["BackendState"] != "Running":
            self._forget_namesake(role)
            key = self._new_key()
            try:
                self.docker.execute(role, "sh", "-c", f"umask 077; cat > {KEY_FILE}", stdin=key)
                up = (
                    "tailscale",
                    "up",
                    "--login-server",
                    self.url,
                    "--auth-key",
                    f"file:{KEY_FILE}",
                    "--hostname",
                    role,
                )
                self.docker.execute(
                    role, *up, "--timeout", "60s", timeout_s=90, trouble=f"{role} can't join the tailnet"
                )
            finally:
                self.docker.execute(role, "rm", "-f", KEY_FILE)
            status = self._status(role)
        addresses: list[str] = status["Self"]["TailscaleIPs"]
        return next(address for address in addresses if "." in address)

    def _await_daemon(self, role: str) -> dict[str, Any]:
        """The member's own status, once its daemon knows whether it has to log in."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            try:
                status = self._status(role)
                if status["BackendState"] in ("Running", "NeedsLogin", "Stopped"):
                    return status
                trouble = f"it is {status['BackendState']}"
            except (Trouble, json.JSONDecodeError) as problem:
                trouble = str(problem)
            if time.monotonic() > deadline:
                raise Trouble(f"tailscaled on {role} is not ready after {ANSWER_TIMEOUT_S} s: {trouble}")
            time.sleep(0.2)

    def _status(self, role: str) -> dict[str, Any]:
        # exits 1 while logged out, and still says so in JSON
        status: dict[str, Any] = json.loads(self.docker.execute(role, "sh", "-c", "tailscale status --json || true"))
        return status

    def _forget_namesake(self, role: str) -> None:
        """Take a lost self of this member away: beside it, the new one would get a number in its name."""
        for node in json.loads(self._headscale("nodes", "list") or "null") or []:
            if node["given_name"] == role:
                self._headscale("nodes", "delete", "--identifier", str(node["id"]), "--force")

    def _new_key(self) -> str:
        users = json.loads(self._headscale("users", "list"))
        owner = next(user["id"] for user in users if user["name"] == OWNER)
        made = self._headscale("preauthkeys", "create", "--user", str(owner), "--expiration", "10m")
        key: str = json.loads(made)["key"]
        return key

    def _headscale(self, *words: str) -> str:
        return self.docker.execute("control", "headscale", *words, "--output", "json")

    def _config(self) -> dict[str, Any]:
        address = self.lab.ip("control")
        return {
            "server_url": self.url,
            "listen_addr": f"0.0.0.0:{CONTROL_PORT}",
            "tls_cert_path": "/srv/tls.crt",
            "tls_key_path": "/srv/tls.key",
            "metrics_listen_addr": "127.0.0.1:9090",
            "grpc_listen_addr": "127.0.0.1:50443",
            "noise": {"private_key_path": f"{HOME}/noise.key"},
            "prefixes": {"v4": "100.64.0.0/10", "v6": "fd7a:115c:a1e0::/48", "allocation": "sequential"},
            "derp": {
                "server": {
                    "enabled": True,
                    "region_id": 999,
                    "region_code": "lab",
                    "region_name": "lab",
                    "stun_listen_addr": "0.0.0.0:3478",
                    "private_key_path": f"{HOME}/derp.key",
                    "automatically_add_embedded_derp_region": True,
                    "ipv4": address,
                },
                "urls": [],
                "paths": [],
                "auto_update_enabled": False,
            },
            "disable_check_updates": True,
            "logtail": {"enabled": False},
            "database": {"type": "sqlite", "sqlite": {"path": f"{HOME}/db.sqlite"}},
            "dns": {
                "magic_dns": True,
                "base_domain": TAILNET_DOMAIN,
                "override_local_dns": False,
                "nameservers": {"global": []},
            },
            "unix_socket": "/run/headscale.sock",
            "log": {"level": "info"},
        }


def warm_up(ssh_config: str, machine: str, command: str = "true") -> None:
    """Connect once: the very first connection of a tailnet finds its way for seconds, later ones do not."""
    run(["ssh", "-F", ssh_config, machine, command], timeout_s=60, trouble=f"no SSH to {machine} over the tailnet")
