"""How a Windows machine is asked: with its own tools, in a handful of command lines over one connection.

Plain commands for cmd.exe through testinfra's SSH backend: its own modules for Windows want PowerShell.
"""

from __future__ import annotations

import ntpath
import secrets
from collections.abc import Mapping
from typing import Any

from . import expected as wanted
from . import expected_windows as place
from . import parse, windows_things
from . import windows_access as access
from . import windows_asking as asking
from . import windows_parse as read
from .cmdline import Request, chain, code_page, configurations, decoded, key_of, lines, quoted, replies, transcript
from .desk import Expected
from .expected import WantedService
from .machine import NOT_ASKED, Container, Machine, Process, Question, Road, Service, Tailnet, Unreachable
from .parse import Reply, Said
from .patience import TooLong

TASK_RUNS = 0x41301
HOLDER = "python.exe"


class Windows(Machine):
    """See `Machine`."""

    def __init__(self, expected: Expected, road: Road) -> None:
        super().__init__(expected, road)
        self.page = "cp437"
        self.scratch = rf"%TEMP%\verify-{secrets.token_hex(8)}.txt"

    # ---- asking
    def _exec(self, line: str, boundary: str = "") -> bytes:
        """One command line, as it stands. Raises Unreachable where ssh itself fails."""
        try:
            done = self.exec(line, boundary)
        except RuntimeError as error:
            done = error.args[0] if error.args else None
            stderr = done.stderr_bytes.decode(errors="replace") if done else ""
            if not done or not done.stdout_bytes:
                trouble = Said(255, "", stderr).trouble
                raise Unreachable(f"{self.name}: it cannot be reached over SSH: {trouble}") from None
        return bytes(done.stdout_bytes)

    def _run(self, commands: Mapping[str, str]) -> None:
        """All commands, as few lines as they fit in; what they said goes to `said`."""
        boundary = f"verify{secrets.token_hex(8)}"
        found: dict[str, Said] = {}
        for line in lines(commands, boundary):
            raw = self._exec(line, boundary)
            found |= transcript(raw, boundary, self.page)
        if missing := [name for name in commands if name not in found]:
            shell = r"its shell must be cmd.exe: HKLM\SOFTWARE\OpenSSH\DefaultShell"
            trouble = Said(1, decoded(raw[-400:], self.page), "").trouble
            raise Unreachable(f"{self.name}: it did not run {missing[0]} ({trouble}); {shell}")
        self.said |= found

    def _text(self, name: str) -> str:
        return self.said.get(name, NOT_ASKED).out

    def look(self, questions: list[Question]) -> None:
        self.page = code_page(decoded(self._exec("chcp"), "cp437"))
        self._run(asking.first(self.expected, self.scratch))
        self.manifest, self.provenance = self._noted(), self._document("provenance") or None
        self.ssh_settings = (
            parse.sshd_settings(self._text("sshd")) if self.said.get("sshd", NOT_ASKED).code == 0 else {}
        )
        self.tasks = read.processes(self._text("processes"))
        self.listeners = read.listeners(self._text("sockets"), self.tasks)
        self.lan_addresses = read.lan_addresses(self._text("addresses"))
        self.tailnet = self._tailnet()
        self.cards = self._text("cards").splitlines() if self.said["cards"].code == 0 else []
        self.config = self._text("config") if self.said.get("config", NOT_ASKED).code == 0 else None
        once = self._document("release-note").get("contents")
        self.unpacked_once = once and {name: list(each[:2]) for name, each in once.items()}
        self.unpacked = read.listing(self._text("release"), asking.release(self.expected))
        self.unpacked.pop(asking.RELEASE_NOTE, None)
        self._run(self._second())
        lists = self._lists()
        self.files = read.files({path: self._text(f"hash-{n}") for n, path in enumerate(self._paths())}, lists)
        above = list(access.access_lists(self._text("access-above"), "").values())
        self.changers = access.changers(above[0]) if above else None
        self.readable = {path: self._text(f"readable-{n}") for n, path in enumerate(self._shared(lists))}
        self.visible = {name: self._text(name) for name in ("environment-machine", "all-tasks")}
        self._look_at_services()
        self.copies = {
            each.name: (self._sha256(place.secrets_copy(self.expected, each.name)), self._sha256(each.secrets))
            for each in wanted.services(self.expected)
            if each.secrets
        }
        self._run(self._third())
        self.container = self._container()
        self._ask(questions)
        self.ssh_methods = parse.offered_methods(self.road.knock(self.expected))

    def _tailnet(self) -> Tailnet | None:
        status, prefs = self._document("tailscale"), self._document("tailscale-prefs")
        if not status:
            return None
        me = status.get("Self") or {}
        addresses = tuple(me.get("TailscaleIPs") or ())
        here = read.own_addresses(self._text("addresses"))
        carried = tuple(each for each in addresses if each in here)
        unattended = bool(prefs.get("ForceDaemon"))
        state, version = status["BackendState"], status.get("Version", "")
        return Tailnet(state, bool(me.get("Online")), version, addresses, carried, unattended)

    # ---- the second round: what the first pointed at
    def _paths(self) -> list[str]:
        """Every file and directory that was declared or noted."""
        noted = [each["id"] for each in self.manifest or [] if each["kind"] in ("file", "directory")]
        return list(dict.fromkeys([*(each.path for each in place.files(self.expected)), *noted]))

    def _second(self) -> dict[str, str]:
        roots = [root.lower() for root in place.roots(self.expected)]
        commands = {}
        for number, path in enumerate(self._paths()):
            commands[f"hash-{number}"] = f"certutil -hashfile {quoted(path)} SHA256"
            if not any(path.lower() == root or path.lower().startswith(f"{root}\\") for root in roots):
                commands |= asking.access(f"path-{number}", path, self.scratch)
        for number, path in enumerate(self._shared(self._lists())):
            commands[f"readable-{number}"] = f"type {quoted(path)}"
        if ids := self._text("containers").split() if self.said.get("containers", NOT_ASKED).code == 0 else []:
            commands["inspected"] = chain(["docker", "inspect", *ids])
        return commands

    def _lists(self) -> dict[str, str]:
        """{path: access list} of all that was asked."""
        found: dict[str, str] = {}
        for number, root in enumerate(place.roots(self.expected)):
            found |= access.access_lists(self._text(f"access-below-{number}"), ntpath.dirname(root))
        for number, path in enumerate(self._paths()):
            found |= access.access_lists(self._text(f"access-path-{number}"), ntpath.dirname(path))
        return found

    def _shared(self, lists: Mapping[str, str]) -> list[str]:
        """Our small files that others than administrators may read. One without a known list counts as such."""
        known = {path.lower(): sddl for path, sddl in lists.items()}
        found = []
        for number, root in enumerate(place.roots(self.expected)):
            below = read.listing(self._text(f"below-{number}"), root)
            paths = [ntpath.join(root, name) for name in sorted(below)]
            lent = place.lent(self.expected)
            found += [path for path in paths if path not in lent and access.others_read(known.get(path.lower(), ""))]
        return found

    # ---- services of ours: a task, the holder that it runs, the program that it holds
    def _sha256(self, path: str) -> str | None:
        return self.files[path].sha256 if path in self.files else None

    def _look_at_services(self) -> None:
        self.services, self.owners = {}, {}
        system = self._account_of_the_system()
        for each in wanted.services(self.expected):
            pids = frozenset(pid for pid, task in self.tasks.items() if self._may_be(task, each, system))
            task = read.task(self._text(f"task-services-{each.name}"))
            if task:
                result = read.last_result(self._text(f"state-services-{each.name}"))
                enabled = task.get("Settings/Enabled", "true") == "true"
                said = self._said_of("services", each.name)
                self.services[each.name] = Service(result == TASK_RUNS and bool(pids), enabled, pids, said)
            owner = next((pid for at in self.listeners if at.port == each.port for _, pid in at.programs), None)
            if owner in self.tasks:
                found = self.tasks[owner]
                privileged = not self._has_no_rights(found.account, system)
                self.owners[each.name] = Process(found.pid, found.account, privileged, found.image, None, whole=False)
        self.ours = {pid for service in self.services.values() for pid in service.pids}

    def _account_of_the_system(self) -> str:
        """What SYSTEM is called here: sshd, over which we ask, runs as nobody else."""
        state = read.service_state(self._text("sshd-service"))
        return self.tasks[state[1]].account if state and state[1] in self.tasks else ""

    @staticmethod
    def _has_no_rights(account: str, system: str) -> bool:
        """Whether it is one of Windows' own accounts and not SYSTEM: no user's name begins as theirs."""
        return bool(system) and account != system and account.rpartition("\\")[0] == system.rpartition("\\")[0]

    def _may_be(self, task: read.Task, service: WantedService, system: str) -> bool:
        """Whether a process can be the service's: its program or the holder, under its account."""
        right = self._has_no_rights(task.account, system) if service.account == "own" else task.account == system
        return right and task.image.lower() in (ntpath.basename(service.command[0]).lower(), HOLDER)

    def _said_of(self, kind: str, name: str) -> dict[str, str]:
        holder = read.hashed(self._text(f"holder-{kind}-{name}"))[1]
        noted = self._document(f"record-{kind}-{name}").get("holder")
        task = read.task(self._text(f"task-{kind}-{name}"))
        return place.said_of(task, self._document(f"order-{kind}-{name}"), (holder, noted))

    def definition_of(self, service: WantedService) -> Mapping[str, str]:
        spec = {
            "name": service.name,
            "command": self.here(service.command),
            "environment": service.environment,
            "account": service.account,
            "secrets": service.secrets,
        }
        return place.definition(self.expected, "services", spec, place.triggers([{"at": "boot"}]), {})

    def thing(self, kind: str, thing: Mapping[str, Any]) -> tuple[Mapping[str, object], Mapping[str, object]]:
        if kind == "tasks":
            accounts: dict[str, str] = {}  # a user's SID is not known to the data: the task's own word is taken for it
            found = self._said_of(kind, thing["name"])
            if thing["account"] not in place.ACCOUNTS:
                accounts[thing["account"]] = found.get("task Principals/Principal/UserId", "absent")
            described = place.definition(self.expected, kind, thing, place.triggers(thing["triggers"]), accounts)
            extra = dict.fromkeys(found.keys() - described.keys())
            return found, {**described, **extra}
        how = windows_things.KINDS[kind]
        return how.found(thing, windows_things.Told(self.said)), how.wanted(thing)

    # ---- the gateway
    def _inspected(self) -> Mapping[str, Any] | None:
        """The container that has the gateway's configuration before its eyes."""
        if not wanted.in_container(self.expected):
            return None
        home = _folded(self.expected["gateway_place"]["home"])
        mine = [
            each
            for each in self._json("inspected") or []
            if any(f"{home}/" in _folded(str(mount.get("Source", ""))) + "/" for mount in each.get("Mounts", []))
        ]
        mine.sort(key=lambda each: not each["State"]["Running"])
        return mine[0] if mine else None

    def _third(self) -> dict[str, str]:
        inspected = self._inspected()
        return {"image": chain(["docker", "image", "inspect", inspected["Image"]])} if inspected else {}

    def _container(self) -> Container | None:
        inspected = self._inspected()
        if inspected is None:
            return None
        images = self._json("image") or []
        digests = tuple(digest for image in images for digest in image.get("RepoDigests") or [])
        running = bool(inspected["State"]["Running"])
        return Container(inspected["Id"], running, inspected["Config"]["Image"], digests)

    # ---- over HTTP, by the machine's own curl
    def _ask(self, questions: list[Question]) -> None:
        found: dict[str, Said] = {}
        boundary = f"verify{secrets.token_hex(8)}"
        for config in configurations(self._requests(), boundary):
            found |= replies(self._hand("curl -K -", config), boundary)
        answers = {name: parse.reply(said) for name, said in found.items()}
        nobody = Reply(0, trouble="curl did not answer there")
        self.ollama = {name: answers.get(f"ollama-{name}", nobody) for name in ("version", "tags", "ps")}
        names = ("health", "details", "models", "info", "no-key-models", "wrong-key", "no-key-chat")
        self.gateway = {name: answers.get(f"gateway-{name}", nobody) for name in names}
        self.answers = dict.fromkeys(questions, Reply(0, trouble="verify asks as a client on Linux only"))
        self.brain = None

    def _hand(self, command: str, text: str) -> bytes:
        try:
            return self.road.hand(self.expected, command, text)
        except TooLong as late:
            raise Unreachable(late.sentence(self.name, "")) from None

    def _requests(self) -> dict[str, Request]:
        """To the engine, and to the gateway's own door on this machine with the key that lies there."""
        found = asking.to_ollama(self.expected)
        if "gateway" in self.expected:
            gateway = self.expected["gateway"]
            first = self.tailnet.addresses[0] if self.tailnet and self.tailnet.addresses else "127.0.0.1"
            door = f"http://{'127.0.0.1' if gateway['publish'] == 'serve' else first}:{gateway['port']}"
            found |= asking.to_the_gateway(door, key_of(self._text("keys"), gateway["master_key"]["name"]))
        return found


def _folded(path: str) -> str:
    """A path in one form: Docker writes C:\\x, /host_mnt/c/x or /run/desktop/mnt/host/c/x."""
    text = path.replace("\\", "/").lower()
    return f"/{text[0]}{text[2:]}" if text[1:2] == ":" else text
