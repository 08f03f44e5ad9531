"""How a Linux machine is asked: with its own tools, in a handful of commands over one connection."""

from __future__ import annotations

import base64
import io
import json
import posixpath
import secrets
import shlex
import tarfile
from collections.abc import Mapping
from typing import Any

from . import expected as wanted
from . import expected_linux as place
from . import parse
from .expected import WantedService
from .machine import NOT_ASKED, Container, Machine, Process, Question, Service, Tailnet, Unreachable
from .parse import CURL, Said
from .patience import LOOK_S

UNIT_WORDS = "LoadState,ActiveState,UnitFileState,MainPID,DropInPaths,NeedDaemonReload,FragmentPath"
SLOW_TOOL_S = 30  # Docker, Tailscale: they may hang when their daemon does
ANSWER_S = 180  # a cold model is read from disk first
LARGEST_READ_KB = 1024  # configuration is small; weights and libraries are not searched
RELEASE_NOTE = ".release.json"
NOBODY = "runuser -u nobody --"
PROMPT = "Say one short sentence about the sea."


def quoted(*words: object) -> str:
    return shlex.join(str(each) for each in words)


class Linux(Machine):
    """See `Machine`."""

    # ---- asking
    def _run(self, commands: Mapping[str, str], within_s: float = LOOK_S) -> None:
        """All commands in one go; what they said goes to `said`."""
        boundary = f"=={secrets.token_hex(12)}"
        try:
            done = self.exec(parse.script(commands, boundary), boundary, within_s)
        except RuntimeError as error:  # how testinfra tells that ssh itself failed
            stderr = error.args[0].stderr_bytes.decode(errors="replace") if error.args else ""
            raise Unreachable(f"{self.name}: it cannot be reached over SSH: {Said(255, '', stderr).trouble}") from None
        found = parse.transcript(done.stdout_bytes.decode(errors="replace"), boundary)
        if missing := [name for name in commands if name not in found]:
            stderr = done.stderr_bytes.decode(errors="replace")
            raise Unreachable(f"{self.name}: it did not run {missing[0]}: {Said(done.rc, '', stderr).trouble}")
        self.said |= found

    def look(self, questions: list[Question]) -> None:
        self._run(self._first())
        self.manifest, self.provenance = self._noted(), self._document("provenance") or None
        self.ssh_settings = parse.sshd_settings(self.said["sshd"].out) if self.said["sshd"].code == 0 else {}
        self.listeners = parse.listeners(self.said["sockets"].out)
        self.lan_addresses = parse.lan_addresses(self.said["addresses"].out or "[]")
        self.tailnet = self._tailnet()
        self.services = self._services()
        self.cards = self.said["cards"].out.splitlines() if self.said["cards"].code == 0 else []
        names = ("version", "tags", "ps")
        self.ollama = {name: parse.reply(self.said.get(f"ollama-{name}", NOT_ASKED)) for name in names}
        inspected = self._gateway_container()
        self._run(self._second(inspected))
        self.container = self._container(inspected)
        self.owners = self._owners()
        self.copies = {}  # systemd hands the file itself over
        self.ours = self._our_processes()
        self.config = self.said["config"].out if self.said.get("config", NOT_ASKED).code == 0 else None
        once = self._document("release-note").get("contents")
        self.unpacked_once = once and {name: [*each[:2], each[2] & 0o7777] for name, each in once.items()}
        self.unpacked = parse.sizes(base64.b64decode(self.said.get("release", NOT_ASKED).out).decode())
        self.files = parse.files(self.said["stat"].out, self.said["sha256sum"].out)
        above = [self.files[each].access for each in self._above() if each in self.files]
        self.changers = parse.changers(above[0]) if above else None
        self.gateway = {name: parse.reply(said) for name, said in self._with_prefix("gateway-").items()}
        self.visible = {
            "process arguments": self.said["arguments"].out,
            "docker inspect": self.said["docker-nobody"].out,
        }
        self.readable = self._readable()
        self._ask(questions)
        self.ssh_methods = parse.offered_methods(self.road.knock(self.expected))

    def _with_prefix(self, prefix: str) -> dict[str, Said]:
        return {name.removeprefix(prefix): said for name, said in self.said.items() if name.startswith(prefix)}

    # ---- the first round: everything that needs no other answer
    def _first(self) -> dict[str, str]:
        data = self.expected
        commands = {
            "sshd": "sshd -T",
            "tailscale": f"timeout {SLOW_TOOL_S} tailscale status --json --peers=false",
            "addresses": "ip -json addr",
            "sockets": "ss -H -tlnp",
            "cards": f"timeout {SLOW_TOOL_S} nvidia-smi --query-gpu=name --format=csv,noheader",
            "arguments": "ps -ww -eo args",
            "containers": self._inspect_all(),
        }
        for each in wanted.services(data):
            commands[f"unit-{each.name}"] = f"systemctl show {each.name}.service --property {UNIT_WORDS}"
            commands[f"unit-file-{each.name}"] = quoted("cat", place.unit_file(each.name))
        if "agent" in data:
            home = data["agent"]["home"]
            commands["manifest"] = quoted("cat", posixpath.join(home, "managed.json"))
            commands["provenance"] = quoted("cat", posixpath.join(home, "provenance.json"))
        if "ollama" in data:
            url = f"http://127.0.0.1:{data['ollama']['port']}/api/"
            commands |= {f"ollama-{name}": f"{CURL} --max-time 20 {url}{name}" for name in ("version", "tags", "ps")}
        return commands

    @staticmethod
    def _inspect_all(user: str = "") -> str:
        """Every container, as JSON."""
        docker = f"timeout {SLOW_TOOL_S} {user} docker"
        return f'ids=$({docker} ps -aq --no-trunc) && if [ -n "$ids" ]; then {docker} inspect $ids; else echo "[]"; fi'

    def _tailnet(self) -> Tailnet | None:
        status = self._document("tailscale")
        if not status:
            return None
        me = status.get("Self") or {}
        addresses = tuple(me.get("TailscaleIPs") or ())
        here = {info["local"] for link in self._json("addresses") or [] for info in link.get("addr_info", [])}
        carried = tuple(each for each in addresses if each in here)
        return Tailnet(status["BackendState"], bool(me.get("Online")), status.get("Version", ""), addresses, carried)

    def _services(self) -> dict[str, Service]:
        found = {}
        for each in wanted.services(self.expected):
            text = self.said[f"unit-file-{each.name}"]
            properties = parse.properties(self.said[f"unit-{each.name}"].out)
            service = service_of(properties, place.unit_file(each.name), text.out if text.code == 0 else "")
            if service:
                found[each.name] = service
        return found

    def definition_of(self, service: WantedService) -> Mapping[str, str]:
        return place.definition(service._replace(command=self.here(service.command)))

    def thing(self, kind: str, thing: Mapping[str, Any]) -> tuple[Mapping[str, object], Mapping[str, object]]:
        return {"there": "nowhere: a Linux machine has no such thing"}, {"there": f"among {kind}"}

    def _gateway_container(self) -> Mapping[str, Any] | None:
        """The container that has the gateway's configuration before its eyes."""
        if not wanted.in_container(self.expected):
            return None
        home = self.expected["gateway_place"]["home"]
        mine = [
            each
            for each in self._json("containers") or []
            if any(str(mount.get("Source", "")).startswith(f"{home}/") for mount in each.get("Mounts", []))
        ]
        mine.sort(key=lambda each: not each["State"]["Running"])
        return mine[0] if mine else None

    def _above(self) -> list[str]:
        return [posixpath.dirname(self.expected["agent"]["home"])] if "agent" in self.expected else []

    # ---- the second round: what the first pointed at
    def _second(self, container: Mapping[str, Any] | None) -> dict[str, str]:
        declared = [each.path for each in place.files(self.expected)]
        noted = [each["id"] for each in self.manifest or [] if each["kind"] in ("file", "directory")]
        paths = quoted(*dict.fromkeys(["/", *self._above(), *declared, *noted]))
        pids = sorted({pid for each in self.listeners for _, pid in each.programs})
        directories = quoted(*place.managed_directories(self.expected))
        installed = wanted.packages(self.expected)
        packages = f"-path {quoted(installed)} -prune -o " if installed else ""
        commands = {
            "stat": f"stat {parse.STAT} -- {paths}",
            "sha256sum": f"sha256sum -- {paths}",
            "cgroups": f'for pid in {quoted(*pids)}; do echo "$pid" $(cat "/proc/$pid/cgroup"); done',
            "docker-nobody": self._inspect_all(NOBODY),
            # What any user may read, found and read as one who may nothing else.
            "readable": f"{NOBODY} find {directories} -xdev {packages}-type f -readable "
            f"-size -{LARGEST_READ_KB}k -print0 "
            f"2>/dev/null | {NOBODY} tar --null --files-from=- --absolute-names -czf - | base64 -w 0",
        }
        if "ollama" in self.expected:
            release = posixpath.join(self.expected["ollama"]["home"], self.expected["ollama"]["release"]["version"])
            commands["release-note"] = quoted("cat", posixpath.join(release, RELEASE_NOTE))
            told = quoted("-not", "-type", "d", "-not", "-name", RELEASE_NOTE, "-printf", "%s %Ts %m %P\\0")
            commands["release"] = f"find {quoted(release)} {told} | base64 -w 0"
        for name, pid in self._owning().items():
            commands[f"owner-environment-{name}"] = f"cat /proc/{pid}/environ"
            commands[f"owner-program-{name}"] = f"readlink /proc/{pid}/exe"
            commands[f"owner-account-{name}"] = f"ps -o uid=,user= -p {pid}"
        if container:
            commands["image"] = quoted("docker", "image", "inspect", container["Image"])
        return commands | (self._to_the_gateway() if "gateway" in self.expected else {})

    def _owning(self) -> dict[str, int]:
        """{service's name: pid of whatever listens on its port}."""
        ports = {each.port: each.name for each in wanted.services(self.expected)}
        return {ports[each.port]: pid for each in self.listeners if each.port in ports for _, pid in each.programs}

    def _to_the_gateway(self) -> dict[str, str]:
        """Asked at its own door on this machine, with the key that lies there."""
        gateway, home = self.expected["gateway"], self.expected["gateway_place"]["home"]
        first = self.tailnet.addresses[0] if self.tailnet and self.tailnet.addresses else "127.0.0.1"
        address = "127.0.0.1" if gateway["publish"] == "serve" else first
        door = f"http://{address}:{gateway['port']}"
        key = key_from(posixpath.join(home, "gateway.env"), gateway["master_key"]["name"])
        chat = quoted("-H", "Content-Type: application/json", "-d", '{"model": "none", "messages": []}')
        short = f"{CURL} --max-time 20"
        return {
            "config": quoted("cat", posixpath.join(home, "app", "config.yaml")),
            "gateway-health": f"{short} {door}/health/liveliness",
            "gateway-details": f"{key} | {short} --config - {door}/health/readiness/details",
            "gateway-models": f"{key} | {short} --config - {door}/v1/models",
            "gateway-info": f"{key} | {short} --config - {door}/model/info",
            "gateway-no-key-models": f"{short} {door}/v1/models",
            "gateway-wrong-key": f"{short} -H 'Authorization: Bearer sk-of-somebody-else' {door}/v1/models",
            "gateway-no-key-chat": f"{short} {chat} {door}/v1/chat/completions",
        }

    def _container(self, inspected: Mapping[str, Any] | None) -> Container | None:
        if inspected is None:
            return None
        images = self._json("image") or []
        digests = tuple(digest for image in images for digest in image.get("RepoDigests") or [])
        running = bool(inspected["State"]["Running"])
        return Container(inspected["Id"], running, inspected["Config"]["Image"], digests)

    def _owners(self) -> dict[str, Process]:
        found = {}
        for name, pid in self._owning().items():
            account = self.said[f"owner-account-{name}"]
            if account.code == 0:
                uid, user = account.out.split()
                program = self.said[f"owner-program-{name}"].out.strip()
                environment = parse.environment(self.said[f"owner-environment-{name}"].out)
                found[name] = Process(pid, user, uid == "0", program, environment)
        return found

    def _our_processes(self) -> set[int]:
        marks = [f"/{each.name}.service" for each in wanted.services(self.expected)]
        marks += [self.container.id] if self.container else []
        lines = [line.partition(" ") for line in self.said["cgroups"].out.splitlines()]
        return {int(pid) for pid, _, groups in lines if any(mark in groups for mark in marks)}

    def _readable(self) -> dict[str, str]:
        packed = base64.b64decode(self.said["readable"].out)
        found: dict[str, str] = {}
        if not packed:
            return found
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content:
                    found[member.name] = content.read().decode(errors="replace")
        return found

    # ---- the third round: as a client
    def _ask(self, questions: list[Question]) -> None:
        self.answers, self.brain = {}, None
        if "brain" not in self.expected:
            return
        brain = self.expected["brain"]
        ask = {str(number): self._question(each) for number, each in enumerate(questions)}
        own = quoted(brain["program"], "--json", PROMPT)
        ask["brain"] = f"timeout {ANSWER_S} {quoted('runuser', '-l', brain['user'], '-c', own)}"
        self._run(ask, LOOK_S + ANSWER_S * len(ask))
        self.answers = {each: parse.reply(self.said[str(number)]) for number, each in enumerate(questions)}
        self.brain = self.said["brain"]

    def _question(self, question: Question) -> str:
        brain = self.expected["brain"]
        body = {
            "model": question.route,
            "stream": question.stream,
            "max_tokens": 60,
            "messages": [{"role": "user", "content": PROMPT}],
        }
        url = f"{brain['gateway_url']}/v1/chat/completions"
        more = quoted("-H", "Content-Type: application/json", "-d", json.dumps(body), url)
        return f"{key_from(brain['settings'], 'key')} | {CURL} --max-time {ANSWER_S} --config - {more}"


def service_of(unit: Mapping[str, str], path: str, text: str) -> Service | None:
    """A service, of what `systemctl show` says and of its file at `path`; None where there is none of that name."""
    if unit.get("LoadState") != "loaded":
        return None
    edits = tuple(unit.get("DropInPaths", "").split())
    if unit.get("NeedDaemonReload") == "yes":
        edits += (f"{unit['FragmentPath']} (changed since systemd read it)",)
    elif unit.get("FragmentPath") != path:
        edits += (f"{unit.get('FragmentPath')} (it is what counts, not {path})",)
    return Service(
        running=unit["ActiveState"] == "active",
        enabled=unit["UnitFileState"] == "enabled",
        pids=frozenset({int(unit["MainPID"])}),
        definition=place.unit(text),
        edits=edits,
    )


def key_from(path: str, name: str) -> str:
    """A command that prints curl's configuration with the key of a NAME=value file: it never is an argument."""
    program = 's/^\'//; s/\'$//; s/[\\\\"]/\\\\&/g; s/.*/header = "Authorization: Bearer &"/'
    return f"sed -n {quoted(f's/^{name}=//p')} {quoted(path)} | sed {quoted(program)}"
