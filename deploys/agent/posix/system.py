"""The POSIX half of the agent: permissions by owner and mode, processes by session, services by systemd."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import subprocess
from typing import Optional, Sequence

from ..errors import Refused, why_of
from ..fresh import fresh
from ..patience import clear_away, discard
from ..programs import run
from ..system import State
from . import modes, sockets
from .units import parse_unit, render_unit, render_watcher

UNITS = "/etc/systemd/system"
WATCHER = "llm-harness-undo"


class Posix:
    """See `system.System`."""

    def describe(self) -> State:
        return {
            "os": "linux",
            "release": platform.release(),
            "architecture": platform.machine(),
            "hostname": os.uname().nodename,
        }

    def particulars(self) -> State:
        return {}

    # -- files
    def access_of(self, path: str) -> str:
        return modes.access_of(path)

    def grant(self, path: str, access: str) -> None:
        modes.grant(path, access)

    def look_over(self, path: str, account: str, top: bool, mend: bool) -> State:
        return modes.look_over(path, mend)

    def account_of(self, spec: State) -> Optional[str]:
        return None  # systemd makes it, below /var/lib, for a user that exists while it runs

    def replace(self, temporary: str, path: str) -> None:
        os.replace(temporary, path)
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
        try:
            os.fsync(directory)  # the new name itself survives a power cut
        finally:
            os.close(directory)

    def born_private(self, directory: str, prefix: str) -> tuple[int, str]:
        for name in os.listdir(directory):
            if name.startswith(prefix):
                discard(os.path.join(directory, name))
        return fresh(directory, prefix)

    def clear_private(self, path: str) -> None:
        clear_away(path)

    def make_private(self, path: str) -> None:
        os.makedirs(path, mode=0o700, exist_ok=True)
        with modes.held(path) as held:
            os.chmod(held, 0o700)

    # -- processes
    def detach(self, arguments: Sequence[str], log: str) -> int:
        """It leads a session of its own: a closing login session's hang-up does not reach it."""
        with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as out:
            started = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                close_fds=True,
            )
        return started.pid

    def started(self, pid: int) -> str:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return ""
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return "" if fields[0] == "Z" else f"{boot}/{fields[19]}"

    def is_alive(self, pid: int, started: str) -> bool:
        return bool(started) and self.started(pid) == started

    def stop(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)  # it leads its own session

    # -- who is where
    def listeners(self) -> list[State]:
        return sockets.listeners()

    def runs(self, service: str, process: int) -> bool:
        return sockets.runs(service, process)

    # -- the internet
    def learn_root(self, url: str) -> bool:
        return False  # all of them are there, as files

    # -- containers
    def docker(self) -> State:
        fixes = {
            "missing": "run scripts/bootstrap.sh there: it installs Docker",
            "stopped": "see that Docker runs on this machine, then converge again",
        }
        return {"folders": [], "environment": {}, "patience_s": 0, "fixes": fixes}

    def this_boot(self) -> str:
        return self.started(1)

    def watch(self, command: Sequence[str]) -> None:
        """A unit of systemd: no session is above it."""
        self._define(WATCHER, render_watcher(command))
        self.start_service(WATCHER)

    def unwatch(self) -> None:
        if os.path.exists(f"{UNITS}/{WATCHER}.service"):
            _systemctl("disable", "--quiet", f"{WATCHER}.service")
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{UNITS}/{WATCHER}.service")

    # -- services
    def services(self, wanted: Sequence[State]) -> dict[str, Optional[State]]:
        found: dict[str, Optional[State]] = {}
        if not wanted:
            return found
        shown = _show([each["name"] for each in wanted])
        for each in wanted:
            name, unit = each["name"], shown.get(each["name"], {})
            running = unit.get("ActiveState") in ("active", "reloading")
            state: State = {
                "running": running,
                "enabled": unit.get("UnitFileState") == "enabled",
                "process": unit.get("MainPID", "0"),
            }
            if each.get("command") is None:  # a service of the system's own: we only know whether it runs
                found[name] = state if unit.get("LoadState") == "loaded" else None
                continue
            text = _read(f"{UNITS}/{name}.service")
            spec = parse_unit(text) if text else None
            if text is None:
                found[name] = None
            else:
                added = f"/{name}.service.d/" in unit.get("DropInPaths", "")  # a distribution's own for all are fine
                intact = spec is not None and render_unit(spec) == text and not added
                found[name] = {
                    **state,
                    "spec": spec,
                    "intact": intact and unit.get("NeedDaemonReload") != "yes",
                }
        return found

    def define_service(self, spec: State) -> None:
        self._define(spec["name"], render_unit(spec))

    def _define(self, name: str, unit: str) -> None:
        """Have a unit with that text, started with the machine."""
        path, temporary = f"{UNITS}/{name}.service", ""
        try:
            descriptor, temporary = fresh(UNITS)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(unit)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            self.replace(temporary, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise Refused(f"define service {name}", why_of(error), "look at that path on the machine") from error
        _systemctl("daemon-reload")
        _systemctl("enable", "--quiet", f"{name}.service")

    def start_service(self, name: str) -> None:
        with contextlib.suppress(Refused):  # it fails when there is nothing to reset
            _systemctl("reset-failed", f"{name}.service")
        _systemctl("restart", f"{name}.service")

    def reload_service(self, name: str) -> None:
        _systemctl("reload", f"{name}.service")

    def remove_service(self, name: str) -> None:
        path = f"{UNITS}/{name}.service"
        if os.path.exists(path):
            _systemctl("disable", "--now", "--quiet", f"{name}.service")
            os.unlink(path)
            _systemctl("daemon-reload")

    def restarts_of(self, name: str) -> int:
        return int(_show([name])[name].get("NRestarts", "0"))

    def log_tail(self, name: str, lines: int) -> str:
        """What the service itself said; what systemd says of it only where that is all."""
        count = str(lines * 10)  # systemd says up to six lines of each end
        said = run(["journalctl", "--no-pager", "-o", "json", "-n", count, "-u", f"{name}.service"]).out
        entries = [json.loads(line) for line in said.splitlines()]
        own = [each for each in entries if each.get("_PID") != "1"] or entries
        return "\n".join(_message(each) for each in own[-lines:]).strip()


def _read(path: str) -> Optional[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _systemctl(*arguments: str) -> str:
    try:
        done = run(["systemctl", *arguments])
    except FileNotFoundError:
        raise Refused(
            "use systemd", "there is no systemctl on this machine", "use a system that systemd runs"
        ) from None
    if done.code:
        fix = f"see `journalctl -u {arguments[-1]}` on the machine"
        raise Refused(f"systemctl {' '.join(arguments)}", done.why(), fix)
    return done.out


def _message(entry: State) -> str:
    """A line of the journal; bytes that are no text come as their numbers."""
    said = entry.get("MESSAGE") or ""
    return said if isinstance(said, str) else bytes(said).decode("utf-8", "replace")


PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "MainPID",
    "NeedDaemonReload",
    "DropInPaths",
    "NRestarts",
)


def _show(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What systemd knows of the units, all in one process. {name: {property: value}}"""
    said = _systemctl("show", "--property", ",".join(PROPERTIES), *(f"{name}.service" for name in names))
    shown = {}
    blocks = said.strip().split("\n\n")
    for name, block in zip(names, blocks):
        shown[name] = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    return shown
