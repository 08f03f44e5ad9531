"""Restarts that Windows waits for, and the restart itself."""

from __future__ import annotations

from typing import Optional

from ..errors import Refused
from ..home import Home
from ..system import Progress, State, System
from . import registry, win32

CURRENT = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion"
KEYS = {
    "a feature or an update": CURRENT + r"\Component Based Servicing\RebootPending",
    "Windows Update": CURRENT + r"\WindowsUpdate\Auto Update\RebootRequired",
}
SESSION_MANAGER = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager"
ALREADY_ASKED = 1190


def pending(system: System, home: Home) -> list[str]:
    """Who waits for one. Files to be renamed are left out: harmless updaters leave them all the time."""
    boot = system.this_boot()
    ours = [each["id"] for each in home.manifest() if each["kind"] == "installer" and wants_restart(each, boot)]
    return [*(who for who, key in KEYS.items() if registry.values(key) is not None), *ours]


def wants_restart(installer: State, boot: str) -> bool:
    """Whether an installer asked for one since this boot. Where no boot can be told from another, none does."""
    return bool(boot) and installer.get("restart") == boot


class Reboots:
    """Kind `reboot`. Identity: "pending". State: {"pending": [who], "boot": identity of this boot}."""

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        return {name: {"pending": pending(self.system, self.home), "boot": self.system.this_boot()} for name in asked}

    def ensure(self, request: State, progress: Progress) -> State:
        """Restart in some seconds, only if it is pending. The desk waits for another `boot`."""
        name = request["id"]
        if pending(self.system, self.home):
            words = ["/r", "/t", "5", "/d", "p:2:4"]
            code, out, err = win32.run("shutdown.exe", words)
            if code not in (0, ALREADY_ASKED):
                said = " ".join(win32.text(err or out).split())
                raise Refused("restart this machine", f"Windows says {code}: {said}", "restart it by hand")
        return {"reboot": self.look({name: {}})}

    def remove(self, request: State, progress: Progress) -> State:
        self.home.forget("reboot", request["id"])
        return {"reboot": {request["id"]: None}}
