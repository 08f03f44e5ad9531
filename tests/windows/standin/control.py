"""The door for the lab's suites: what a person at the machine could do, and what no machine would let them see.

One JSON object a line on a socket: {"verb": ..., more}. The answer: {"ok": value} or {"error": sentence}.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import real, security, taskstore
from .registry import BINARY, DWORD, EXPAND_SZ, MULTI_SZ, QWORD, SZ, Key

if TYPE_CHECKING:
    from .machine import Machine

TYPES = {"sz": SZ, "expand": EXPAND_SZ, "dword": DWORD, "qword": QWORD, "multi": MULTI_SZ, "binary": BINARY}


class Control:
    """Its verbs are its public methods; `windows-control VERB name=value ...` calls them."""

    def __init__(self, machine: Machine, reboot: Callable[[], None]) -> None:
        self._machine, self._reboot = machine, reboot

    # -- the machine
    def reboot(self) -> str:
        self._reboot()
        return "going down"

    def logon(self) -> None:
        self._machine.logon()

    def person(self, there: bool) -> None:
        """Whether somebody is at the machine, who logs on when there is something that starts with that."""
        self._machine.person = there

    def language(self, to: str) -> None:
        """From now on; what was said stays said."""
        self._machine.language, self._machine.oem = to, "cp850" if to == "de" else "cp437"

    def disk(self, full: bool, at: str = "") -> None:
        """`at`: only as soon as something with this in its path is made there."""
        self._machine.drive.full, self._machine.drive.fills_at = full and not at, at

    def tailnet(self, there: bool) -> None:
        """Whether Tailscale's daemon runs: without it the machine has no address there."""
        real.ask(["systemctl", "start" if there else "stop", "tailscaled"])

    def elevated(self, yes: bool) -> None:
        """Whether the token of a new session is."""
        self._machine.elevated = yes

    def internet(self, there: bool) -> None:
        self._machine.internet = there

    def cut(self, after: int) -> None:
        """The connection breaks as soon as one upload has had so many bytes. Once."""
        self._machine.cut_after = after

    def slow(self, name: str, by_s: float) -> None:
        """How long antivirus looks at that program before it may run, from now on."""
        self._machine.processes.slow_s[name.lower()] = by_s

    def installers(self, code: int) -> None:
        """What msiexec ends with from now on, installing nothing; 0: it works."""
        self._machine.installer_code = code

    def feature(self, name: str, state: str) -> None:
        """state: Enabled, Disabled or "Enable Pending"."""
        self._machine.tools.features[name] = state

    def gpu(self, there: bool) -> None:
        path = r"C:\Windows\System32\nvidia-smi.exe"
        self._machine.tools.cards = ["NVIDIA GeForce RTX 3090, 24576"] if there else None
        if there:
            from .tools import nvidia_smi

            self._machine.processes.install(path, nvidia_smi)
        elif self._machine.drive.exists(path):
            self._machine.processes.programs.pop(path.lower(), None)
            self._machine.drive.wipe_file(path)

    # -- files
    def lock(self, path: str) -> None:
        """Somebody has it open and shares nothing."""
        self._machine.drive.locked.add(self._machine.drive.key(path))

    def unlock(self, path: str) -> None:
        self._machine.drive.locked.discard(self._machine.drive.key(path))

    def write(self, path: str, text: str = "", base64_text: str = "") -> None:
        """As an administrator at the machine would; the access of a file that is there stays."""
        self._machine.drive.write(path, base64.b64decode(base64_text) if base64_text else text)

    def read(self, path: str) -> str:
        return self._machine.drive.read(path).decode("utf-8", "backslashreplace")

    def delete(self, path: str) -> None:
        drive = self._machine.drive
        drive.wipe(path) if drive.real(path).is_dir() else drive.wipe_file(path)

    def acl(self, path: str, sddl: str) -> None:
        drive = self._machine.drive
        drive.set_descriptor(path, sddl, frozenset({security.SYSTEM}), True)
        if "D:P" not in sddl:
            key = drive.key(path)
            found = drive.descriptors[key]
            drive.descriptors[key] = security.Descriptor(found.owner, found.aces, False)

    def seek(self, text: str) -> None:
        """From now on every file that holds this text is written down, with who may read it: see `found`."""
        self._machine.drive.sought, self._machine.drive.holding = text.encode(), {}

    def found(self, path: str = "") -> dict[str, list[str]]:
        """{file: each access that it had while it held what is sought}; `path` has just been seen to hold it."""
        if path:
            with contextlib.suppress(OSError):  # it is gone already, and was noted then
                self._machine.drive.note(path)
        return {name: sorted(each) for name, each in list(self._machine.drive.holding.items())}

    def files(self, below: str = "C:", content: bool = True, itself: bool = False) -> dict[str, Any]:
        """{path: {"sddl", "sha256", "bytes"}}; folders without the two last. `itself`: the one named, too."""
        drive, found = self._machine.drive, {}
        top = drive.real(below)
        for place in sorted([*([top] if itself else []), *top.rglob("*")]):
            path = drive.path_of(place)
            with contextlib.suppress(OSError):
                about: dict[str, Any] = {"sddl": _fixed(drive.descriptor(path))}
                if place.is_file():
                    about["bytes"] = place.stat().st_size
                    if content:
                        about["sha256"] = hashlib.sha256(place.read_bytes()).hexdigest()
                found[path] = about
        return found

    # -- tasks, rules, services, registry
    def tasks(self) -> dict[str, Any]:
        machine = self._machine
        return {
            each.path: {
                "xml": taskstore.canonical(each.node, each.path, machine),
                "running": [process.pid for process in each.instances],
                "last": each.last,
                "enabled": each.enabled,
                "fired": each.fired,
            }
            for each in list(machine.scheduler.tasks.values())
        }

    def task(self, name: str, do: str, find: str = "", replace: str = "") -> None:
        """do: run, end, delete, disable, enable, edit (replaces text in its definition)."""
        scheduler, machine = self._machine.scheduler, self._machine
        task = scheduler.find(name)
        if task is None:
            raise ValueError(f"there is no task {name}")
        if do == "edit":
            xml = taskstore.canonical(task.node, task.path, machine)
            if find not in xml:
                raise ValueError(f"{find!r} is not in it")
            scheduler.create(name, b"\xff\xfe" + xml.replace(find, replace).encode("utf-16-le"))
        elif do in ("enable", "disable"):
            settings = task.node.find("Settings")
            assert settings is not None
            settings.children = [each for each in settings.children if each.tag != "Enabled"]
            settings.children.append(taskstore.Node("Enabled", text="true" if do == "enable" else "false"))
        else:
            {"run": scheduler.start, "end": scheduler.end, "delete": scheduler.delete}[do](task)

    def create_task(self, name: str, xml: str) -> None:
        self._machine.scheduler.create(name, b"\xff\xfe" + xml.encode("utf-16-le"))

    def firewall(self) -> dict[str, str]:
        return self._machine.firewall.rules()

    def rule(self, name: str, do: str = "", text: str = "") -> None:
        """By its shown name; do: delete, disable, enable. Or `text`: another string for it, or for a new one."""
        rules = self._machine.firewall
        found = rules.named(name)
        if not found and not text:
            raise ValueError(f"there is no rule {name}")
        for each in found or [name]:
            if text:
                rules.put(each, text)
            elif do == "delete":
                self._machine.registry.delete(_rules_key(), each)
            else:
                rules.change(each, {"enable": "yes" if do == "enable" else "no"})

    def services(self) -> dict[str, Any]:
        known = self._machine.services.known.values()
        return {each.name: {"state": each.state, "start": each.start, "image": each.image} for each in known}

    def service(self, name: str, state: str = "", start: int = 0) -> None:
        """state: running or stopped; start: 2 auto, 3 manual, 4 disabled."""
        services = self._machine.services
        found = services.known[name.lower()]
        if start:
            found.start = start
            self._registry(rf"HKLM\SYSTEM\CurrentControlSet\Services\{found.name}", "Start", DWORD, start)
        if state:
            services._enter(found, 4 if state == "running" else 1)

    def registry(self, key: str = "") -> Any:
        found = self._machine.registry.find(key) if key else self._machine.registry.root
        return _tree(found) if found else None

    def set(self, key: str, name: str, data: Any, type: str = "sz") -> None:
        self._registry(key, name, TYPES[type], bytes.fromhex(data) if type == "binary" else data)

    def unset(self, key: str, name: str) -> None:
        self._machine.registry.delete(key, name)

    def _registry(self, key: str, name: str, kind: int, data: Any) -> None:
        self._machine.registry.writer = "windows"
        try:
            self._machine.registry.set(key, name, kind, data)
        finally:
            self._machine.registry.writer = "agent"

    # -- what happened
    def processes(self) -> list[dict[str, Any]]:
        return [
            {
                **{"pid": each.pid, "parent": each.parent, "image": each.image, "arguments": each.arguments},
                **{"session": each.session, "jobs": sorted(each.jobs), "created": each.created},
            }
            for each in list(self._machine.processes.all.values())
            if each.alive
        ]

    def started(self) -> list[list[str]]:
        """Every command line since the boot or since `forget`."""
        return list(self._machine.processes.log)

    def transferred(self) -> list[list[str]]:
        """Every SFTP operation since then: its name and path."""
        return list(self._machine.transfers)

    def forget(self) -> None:
        self._machine.processes.log.clear()
        self._machine.transfers.clear()

    def kill(self, name: str, word: str = "") -> int:
        """Every process of that program; with `word` only those that have it among their arguments."""
        found = [each for each in self._machine.processes.find(name) if not word or word in each.arguments]
        for each in found:
            self._machine.processes.end(each, 1)
        return len(found)

    def dump(self, content: bool = True) -> dict[str, Any]:
        """All that a stranger's change would show in, for comparison byte by byte."""
        told = {name: each["xml"] for name, each in self.tasks().items()}
        return {
            "files": self.files(content=content),
            "tasks": told,
            "registry": self.registry(),
            "services": self.services(),
            "accounts": {sid: list(each) for sid, each in self._machine.accounts.items()},
            "power": self._machine.tools.power,
            "features": self._machine.tools.features,
        }

    def faults(self) -> list[str]:
        """What went wrong in the stand-ins themselves."""
        return [repr(each) for each in self._machine.processes.faults]

    # -- the door
    def serve(self, path: Path) -> None:
        """Answer on a socket, for ever, in threads of its own."""
        path.unlink(missing_ok=True)
        door = socket.socket(socket.AF_UNIX)
        door.bind(str(path))
        path.chmod(0o600)
        door.listen()
        threading.Thread(target=self._accept, args=(door,), daemon=True).start()

    def _accept(self, door: socket.socket) -> None:
        while True:
            client, _ = door.accept()
            threading.Thread(target=self._talk, args=(client,), daemon=True).start()

    def _talk(self, client: socket.socket) -> None:
        with client, client.makefile("rwb") as stream:
            for line in stream:
                stream.write(json.dumps(self.answer(json.loads(line))).encode() + b"\n")
                stream.flush()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        verb = str(asked.pop("verb", "")).replace("-", "_")
        if verb.startswith("_") or verb in ("serve", "answer") or not hasattr(self, verb):
            return {"error": f"there is no verb {verb}"}
        try:
            return {"ok": getattr(self, verb)(**asked)}
        except Exception as problem:
            return {"error": f"{type(problem).__name__}: {problem}"}


def _rules_key() -> str:
    from .registry import RULES

    return RULES


def _fixed(found: security.Descriptor) -> str:
    return security.render(found, "P" if found.protected else "")


def _tree(key: Key) -> dict[str, Any]:
    values = {name: [kind, data.hex() if isinstance(data, bytes) else data] for name, kind, data in key.values.values()}
    return {"values": values, "keys": {each.name: _tree(each) for each in key.keys.values()}}


def main() -> int:
    """`windows-control VERB [name=value ...]`: values as JSON where they are, else as text."""
    import sys

    asked: dict[str, Any] = {"verb": sys.argv[1]}
    for each in sys.argv[2:]:
        name, _, value = each.partition("=")
        try:
            asked[name] = json.loads(value)
        except ValueError:
            asked[name] = value
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(os.environ.get("WINDOWS_CONTROL", "/run/windows-control"))
        with client.makefile("rwb") as stream:
            stream.write(json.dumps(asked).encode() + b"\n")
            stream.flush()
            answer = json.loads(stream.readline())
    if "error" in answer:
        print(answer["error"], file=sys.stderr)
        return 1
    if answer["ok"] is not None:
        print(answer["ok"] if isinstance(answer["ok"], str) else json.dumps(answer["ok"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
