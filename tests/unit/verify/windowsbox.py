"""A converged Windows machine for verify's own tests: the stand-in behind its sshd, the agent's work, a real curl.

What it is made of may be broken by a test before it is looked at: see `Box`.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import ntpath
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.verify import expected
from tests.verify.desk import Expected
from tests.verify.machine import Machine as Asked
from tests.verify.machine import Road
from tests.verify.windows import Windows
from tests.windows.standin import sshkeys
from tests.windows.standin.machine import PYTHON, Machine
from tests.windows.standin.processes import Process
from tests.windows.standin.python import World, interpreter
from tests.windows.standin.registry import DWORD, MACHINE_ENVIRONMENT, SZ
from tests.windows.standin.sshd import Sshd
from tests.windows.standin.use import tool, until

HOME, GATEWAY, STATE = r"C:\ProgramData\ssh\llm-harness", r"C:\litellm", r"C:\ProgramData\Ollama"
OLLAMA = r"C:\Program Files\Ollama\0.40.2\ollama.exe"
TAILNET_ADDRESS, LAN_ADDRESS = "100.64.0.7", "192.168.7.20"
ENGINE_URL = "http://host.docker.internal:11434"
KEY = "sk-of-the-gateway"
IMAGE = "ghcr.io/berriai/litellm:v1.104.0@sha256:" + "6" * 64
CONTAINER = "c" * 64
SECRET = "sk-planted-somewhere"
UNINSTALL = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"


class Site(http.server.ThreadingHTTPServer):
    """Ollama and the gateway in one, on loopback. `pages`: {path: (status, document)}."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        model = {"name": "gemma3:4b", "digest": "d" * 64, "size": 5, "size_vram": 5}
        parameters = {
            "model": "ollama_chat/gemma3:4b",
            "api_base": ENGINE_URL,
            "num_ctx": 4096,
        }
        self.pages: dict[str, tuple[int, Any]] = {
            "/api/version": (200, {"version": "0.40.2"}),
            "/api/tags": (200, {"models": [model]}),
            "/api/ps": (200, {"models": [model]}),
            "/health/liveliness": (200, "I'm alive!"),
            "/health/readiness/details": (200, {"litellm_version": "1.104.0"}),
            "/v1/models": (200, {"data": [{"id": "local"}, {"id": "private"}]}),
            "/model/info": (
                200,
                {"data": [{"model_name": name, "litellm_params": parameters} for name in ("local", "private")]},
            ),
            "/v1/chat/completions": (200, {}),
        }
        self.free = False  # lets anybody in
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, Site)
        status, document = site.pages.get(self.path, (404, {}))
        free = self.path.startswith(("/api/", "/health/liveliness")) or site.free
        if not free and self.headers.get("Authorization") != f"Bearer {KEY}":
            status, document = 401, {"error": "no"}
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        return


CONFIG = """\
model_list:
- {model_name: local, litellm_params: {model: ollama_chat/gemma3:4b, num_ctx: 4096, timeout: 60, stream_timeout: 20,
   api_base: "http://host.docker.internal:11434"}}
- {model_name: private, litellm_params: {model: ollama_chat/gemma3:4b, num_ctx: 4096, timeout: 60, stream_timeout: 20,
   api_base: "http://host.docker.internal:11434"}}
router_settings: {num_retries: 0}
litellm_settings: {num_retries: 0}
"""


class Box:
    """The machine, what its tools say, and the data that it must be like."""

    def __init__(self, machine: Machine, folder: Path, *, native: bool = False) -> None:
        self.machine, self.folder, self.native = machine, folder, native
        self.site, self.door = Site(), Site()
        self.status: dict[str, Any] = {
            "BackendState": "Running",
            "Version": "1.98.2",
            "Self": {"Online": True, "TailscaleIPs": [TAILNET_ADDRESS]},
        }
        self.prefs = {"ForceDaemon": True}
        self.container: dict[str, Any] = {
            "Id": CONTAINER,
            "State": {"Running": True},
            "Config": {"Image": IMAGE},
            "Image": "sha256:1",
            "Mounts": [{"Source": "/run/desktop/mnt/host/c/litellm/app"}],
        }
        self.image = {"RepoDigests": [f"ghcr.io/berriai/litellm@sha256:{'6' * 64}"]}
        self.world = World(machine, machine.process(), [rf"{HOME}\agent-0.pyz"])
        self.data = self._data()
        self.data["docker"] = {"user": machine.user, "features": [], "installers": [], "settings": []}
        self.data["docker"]["starter"] = "start-containers"
        if native:
            self.data["gateway"]["runtime"] = "native"
            self.data |= self._natively()
        self._programs()
        self._files()
        self._service()
        self._system()

    # -- what must be
    def _data(self) -> dict[str, Any]:
        port = self.site.server_port
        model = {"tag": "gemma3:4b", "digest": "d" * 12, "context": 4096, "resident": True}
        lane: dict[str, Any] = {
            "name": "local",
            "model": "ollama_chat/gemma3:4b",
            "tier": "local",
            "api_base": None,
            "key": None,
        }
        lane |= {"timeout_s": 60, "stream_timeout_s": 20, "parameters": {}, "context": None}
        route = {"name": "private", "cascade": ["local"], "private": True, "parameters": {}}
        return {
            "agent": {"python": f"{PYTHON} -I -X utf8", "home": HOME},
            "tailnet": {"oldest_version": "1.90.0"},
            "ollama": {
                "release": {"version": "0.40.2"},
                "home": r"C:\Program Files\Ollama",
                "state": STATE,
                "models": rf"{STATE}\models",
                "program": "ollama.exe",
                "service": "ollama",
                "port": port,
            },
            "ollama_environment": {"OLLAMA_KEEP_ALIVE": "-1"},
            "gateway_place": {"home": GATEWAY, "ollama_url": ENGINE_URL},
            "gateway": {
                "image": IMAGE,
                "port": self.door.server_port,
                "publish": "serve",
                "master_key": {"name": "MASTER"},
            },
            "models": [model],
            "lanes": [lane],
            "routes": [route],
            "variables": [{"name": "DOCKER_HOST", "value": "npipe:////./pipe/docker_engine", "scope": "machine"}],
            "path_entries": [{"directory": r"C:\Tools", "scope": "machine"}],
            "registry_values": [
                {
                    "name": r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power\HiberbootEnabled",
                    "type": "dword",
                    "data": 0,
                }
            ],
            "firewall_rules": [
                {
                    **{"name": "llm-harness gateway", "action": "allow", "direction": "in", "protocol": "tcp"},
                    **{"ports": [4000], "remote": ["100.64.0.0/10", "10.0.0.7/32", "fd7a:115c:a1e0::/48"]},
                    **{"program": "", "description": "ours", "enabled": True},
                }
            ],
            "system_services": [{"name": "sshd", "start": "auto", "running": True}],
            "features": [{"name": "VirtualMachinePlatform", "enabled": True}],
            "power": [{"name": "sleep", "plugged_s": 0, "battery_s": None}],
            "installers": [{"name": "Docker Desktop", "version": "4.40"}],
            "tasks": [
                {
                    **{
                        "name": "starter",
                        "command": [r"C:\work\forever.exe"],
                        "triggers": [{"at": "boot", "delay_s": 30}],
                    },
                    **{"account": "system", "description": "", "environment": {"COLOUR": "blue"}, "logon": "s4u"},
                    **{"elevated": False, "catch_up": False, "battery": True, "limit_s": 0, "enabled": True},
                }
            ],
        }

    def _natively(self) -> dict[str, Any]:
        """Data for a gateway without a container."""
        python = {"program": r"python\python.exe", "home": r"C:\Program Files\Python", "release": {"version": "3.13.1"}}
        native = {"python": python, "venvs": rf"{GATEWAY}\venvs", "inside": r"Scripts\python.exe"}
        native |= {"state": r"C:\ProgramData\LiteLLM", "service": "litellm", "ollama_url": ENGINE_URL}
        return {"gateway_native": native}

    @property
    def expected(self) -> Expected:
        return Expected("apex", frozenset({"apex", "windows"}), self.data)

    # -- what is
    def _programs(self) -> None:
        processes = self.machine.processes
        processes.install(PYTHON, interpreter(self.machine))
        processes.install(OLLAMA, Process.live)
        processes.install(r"C:\work\forever.exe", Process.live)
        system32 = r"C:\Windows\System32"
        processes.install(rf"{system32}\tailscale.exe", self._tailscale)
        processes.install(rf"{system32}\docker.exe", self._docker)
        processes.install(rf"{system32}\curl.exe", self._curl)

    def _tailscale(self, process: Process) -> int:
        process.say(json.dumps(self.prefs if process.arguments[0] == "debug" else self.status).encode())
        return 0

    def _docker(self, process: Process) -> int:
        if process.arguments[0] == "ps":
            process.say(f"{CONTAINER}\r\n".encode())
        else:
            process.say(json.dumps([self.image if process.arguments[0] == "image" else self.container]).encode())
        return 0

    def _curl(self, process: Process) -> int:
        """The real one: what is asked of it comes by standard input alone."""
        assert process.arguments == ["-K", "-"]
        done = subprocess.run(["curl", "-K", "-"], input=process.input().read(), capture_output=True)
        process.say(done.stdout)
        return done.returncode

    def _files(self) -> None:
        drive, system = self.machine.drive, self.world.load("deploys.agent.windows.system").Windows(HOME)
        drive.write(rf"{HOME}\agent-0.pyz", b"PK")
        system.make_private(HOME)
        drive.make(rf"C:\Users\{self.machine.user}\AppData\Local\Temp")
        contents = {
            rf"{GATEWAY}\gateway.env": (f"MASTER='{KEY}'\nPLANTED={SECRET}\n", "administrators"),
            rf"{GATEWAY}\app\config.yaml": (CONFIG, "everyone"),
            rf"{GATEWAY}\app\guard.py": ("# guard\n", "everyone"),
            rf"{GATEWAY}\app\keys.py": ("# keys\n", "everyone"),
        }
        if not self.native:  # for the engine of Docker in the user's session
            who = f"(A;;0x120089;;;{self.machine.sid_of(self.machine.user)})"
            contents[rf"{GATEWAY}\gateway.env"] = (
                contents[rf"{GATEWAY}\gateway.env"][0],
                f"O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA){who}",
            )
        of_docker = ("compose.yaml", "start.json", r"app\start.py")
        runs_in = (r"requirements.lock", r"app\native.py") if self.native else of_docker
        contents |= {rf"{GATEWAY}\{name}": (f"# {name}\n", "everyone") for name in runs_in}
        drive.make(rf"{GATEWAY}\app")
        for folder in (GATEWAY, rf"{GATEWAY}\app"):
            system.grant(folder, "everyone")
        noted = []
        for path, (text, access) in contents.items():
            drive.write(path, text)
            system.grant(path, access)
            noted.append({"kind": "file", "id": path, "sha256": hashlib.sha256(text.encode()).hexdigest()})
        drive.write(rf"{HOME}\managed.json", json.dumps([*noted, {"kind": "directory", "id": GATEWAY}]))
        drive.write(rf"{HOME}\provenance.json", json.dumps({"commit": "c", "when": "w", "by": "b"}))
        library = ntpath.join(ntpath.dirname(OLLAMA), "lib", "x.dll")
        drive.write(library, b"MZ lib")
        told = {path: drive.real(path).stat() for path in (OLLAMA, library)}
        names = {path: ntpath.relpath(path, ntpath.dirname(OLLAMA)) for path in told}
        note = {names[path]: [stat.st_size, int(stat.st_mtime), 0o100666] for path, stat in told.items()}
        drive.write(ntpath.join(ntpath.dirname(OLLAMA), ".release.json"), json.dumps({"contents": note}))

    def _service(self) -> None:
        """As the agent defines and starts them."""
        machine, system = self.machine, self.world.load("deploys.agent.windows.system").Windows(HOME)
        for service in expected.services(self.expected):
            if not machine.drive.exists(service.command[0]):
                machine.processes.install(service.command[0], Process.live)
            spec: dict[str, Any] = {"name": service.name, "description": "the engine", "account": service.account}
            spec |= {"state": service.state, "environment": dict(service.environment)}
            spec |= {"secrets": service.secrets} if service.secrets else {}
            system.define_service({**spec, "command": list(service.command)})
            system.start_service(service.name)
        held = self.world.load("deploys.agent.windows.tasks").HeldTasks(rf"{HOME}\agent-0.pyz", HOME)
        for task in expected.things(self.expected, "tasks"):
            spec = {"description": "", **task}
            spec = {key: value for key, value in spec.items() if key not in ("logon", "triggers")}
            held.define({**spec, "triggers": [dict(each) for each in task["triggers"]]})
        until(lambda: machine.processes.find("ollama.exe"))
        (self.engine,) = machine.processes.find("ollama.exe")
        self.listen("127.0.0.1", self.site.server_port, self.engine.pid)
        if self.native:
            inside = ntpath.join(GATEWAY, "venvs").lower()
            found = machine.processes.all.values()
            until(lambda: [each for each in found if each.image.lower().startswith(inside)])
            (litellm,) = [each for each in found if each.image.lower().startswith(inside)]
            self.listen("127.0.0.1", self.door.server_port, litellm.pid)
            return
        backend = r"C:\Program Files\Docker\Docker\resources\com.docker.backend.exe"
        self.backend = machine.processes.add(backend, 4, machine.user_sids, arguments=[], environment={}, session=1)
        self.listen("127.0.0.1", self.door.server_port, self.backend.pid)

    def listen(self, address: str, port: int, pid: int, state: str = "LISTENING") -> None:
        self.machine.tools.sockets.append(("TCP", address, port, state, pid))

    def _system(self) -> None:
        machine, registry = self.machine, self.machine.registry
        self.addresses = {"127.0.0.1": "", LAN_ADDRESS: "192.168.7.1", TAILNET_ADDRESS: ""}
        machine.tools.addresses = lambda: self.addresses
        machine.tools.features["VirtualMachinePlatform"] = "Enabled"
        machine.tools.power["29f6c1db-86da-48c5-9fdb-f2b67b1f44da"] = [0, 900]
        registry.writer = "windows"
        registry.set(MACHINE_ENVIRONMENT, "DOCKER_HOST", SZ, "npipe:////./pipe/docker_engine")
        power = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power"
        registry.set(power, "HiberbootEnabled", DWORD, 0)
        registry.set(rf"{UNINSTALL}\Docker Desktop", "DisplayName", SZ, "Docker Desktop")
        registry.set(rf"{UNINSTALL}\Docker Desktop", "DisplayVersion", SZ, "4.58.1")
        registry.writer = "agent"
        machine.firewall.add(
            {
                **{
                    "name": "llm-harness gateway",
                    "dir": "in",
                    "action": "allow",
                    "protocol": "TCP",
                    "description": "ours",
                },
                **{"localport": "4000", "remoteip": "100.64.0.0/10,10.0.0.7/32,fd7a:115c:a1e0::/48"},
            }
        )

    # -- breaking it
    def rule(self, pattern: str, other: str) -> None:
        """Change our firewall rule's string."""
        (name,) = self.machine.firewall.named("llm-harness gateway")
        self.machine.firewall.put(name, self.machine.firewall.rules()[name].replace(pattern, other))

    def set(self, key: str, name: str, kind: int, value: Any) -> None:
        self.machine.registry.writer = "windows"
        self.machine.registry.set(key, name, kind, value)
        self.machine.registry.writer = "agent"

    def task(self, name: str, change: Callable[[str], str]) -> None:
        """Register a task again with another text."""
        found = self.machine.scheduler.find(f"\\llm-harness\\{name}")
        assert found is not None
        raw = self.machine.drive.read(rf"C:\Windows\System32\Tasks\llm-harness\{name}")
        text = raw.decode("utf-16")
        assert change(text) != text
        self.machine.scheduler.create(f"\\llm-harness\\{name}", b"\xff\xfe" + change(text).encode("utf-16-le"))

    def edit(self, path: str, pattern: str, other: str) -> None:
        text = self.machine.drive.read(path).decode()
        assert pattern in text
        self.machine.drive.write(path, text.replace(pattern, other))

    def grant(self, path: str, *options: str) -> None:
        assert tool(self.machine, "icacls", path, *options).code == 0

    def stop(self) -> None:
        """The engine and what holds it end."""
        scheduler = self.machine.scheduler
        scheduler.end(scheduler.tasks[r"\llm-harness\ollama"])
        until(lambda: not self.engine.alive)
        self._not_listening(self.engine.pid)

    def engine_of(self, sids: frozenset[str], image: str = OLLAMA) -> None:
        """Somebody else's engine has the port."""
        self._not_listening(self.engine.pid)
        other = self.machine.processes.add(image, 4, sids, arguments=[], environment={}, session=1)
        self.listen("127.0.0.1", self.site.server_port, other.pid)

    def _not_listening(self, pid: int) -> None:
        self.machine.tools.sockets = [each for each in self.machine.tools.sockets if each[4] != pid]

    # -- looking at it
    def look(self) -> Asked:
        """As verify does, over SSH. The sshd is that of the stand-in; ssh is the real one."""
        door = Sshd(self.machine)
        door.start()
        key = self.folder / "key"
        if not key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        sshkeys.furnish(self.machine, key.with_suffix(".pub").read_text())
        config = self.folder / "ssh_config"
        config.write_text(
            f"Host apex\n HostName 127.0.0.1\n Port {door.port}\n User {self.machine.user}\n IdentityFile {key}\n"
            " IdentitiesOnly yes\n IdentityAgent none\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n"
            " LogLevel ERROR\n BatchMode yes\n"
        )
        road = Road(config, self.folder)
        made = Windows(self.expected, road)
        try:
            made.look([])
        finally:
            road.leave(self.expected)
            door.stop()
        return made

    def close(self) -> None:
        self.world.finish()
        for each in (self.site, self.door):
            each.shutdown()
            each.server_close()
