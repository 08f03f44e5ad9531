"""Programs that come with an installer: fetched, proven by sha256, run without a question, looked for afterwards."""

from __future__ import annotations

import os
import re
import time
from typing import Optional, Sequence

from ..errors import Refused
from ..home import Home
from ..kinds.downloads import fetch
from ..kinds.files import sha256_of
from ..patience import discard
from ..system import Progress, State, System
from . import registry, win32
from .reboots import Reboots, wants_restart

UNINSTALL = (
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
)
# An installer runs as SYSTEM, and a look as the user of the desk: what is one user's alone is not the other's.
ALONE = {
    r"HKU\S-1-5-18\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall": "SYSTEM",
    r"HKCU\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall": "the user of the desk",
}
DONE, RESTART, BUSY = {0}, {3010, 1641}, 1618
BUSY_TRIES, BUSY_PAUSE_S = 20, 15.0
LONGEST_S = 3600.0


def installed(name: str) -> Optional[str]:
    """The version under which Windows lists a program of that name for everybody; None when it does not.

    Raises Refused for one that a single user has: it is neither here, nor would another go in beside it.
    """
    version = _listed(name, UNINSTALL)
    for place, whose in ALONE.items() if version is None else ():
        if _listed(name, [place]) is not None:
            fix = "uninstall it there; name an installer, or arguments, for the whole machine in group_data"
            raise Refused(f"install {name}", f"Windows lists it for {whose} alone", fix)
    return version


def _listed(name: str, places: Sequence[str]) -> Optional[str]:
    for place in places:
        for key in registry.subkeys(place):
            values = {word.lower(): data for word, (_, data) in (registry.values(f"{place}\\{key}") or {}).items()}
            if _is_called(name, str(values.get("displayname", ""))):
                return str(values.get("displayversion", ""))
    return None


def _is_called(name: str, shown: str) -> bool:
    """Whether a program is listed under that name: alone, or with its version or kind behind it, but no other word."""
    return bool(re.fullmatch(re.escape(name) + r"( (version )?v?[\d(].*)?", shown, re.IGNORECASE))


class Installers:
    """Kind `installer`. Identity: the name under which Windows lists it.

    State: {"version", "restart": whether it waits for one} or None.
    """

    def __init__(self, system: System, home: Home) -> None:
        self.system = system
        self.home = home

    def look(self, asked: dict[str, State]) -> dict[str, Optional[State]]:
        found: dict[str, Optional[State]] = {}
        for name in asked:
            try:
                version = installed(name)
            except Refused as refused:
                found[name] = {"unknown": refused.to_json()}
                continue
            waits = wants_restart(self.home.entry("installer", name), self.system.this_boot())
            found[name] = None if version is None else {"version": version, "restart": waits}
        return found

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, url, sha256, arguments (what makes it silent). A job: it may take half an hour."""
        name = request["id"]
        self.home.remember("installer", name)
        path = self._fetched(request, progress)
        progress({"what": "installing"})
        code = self._run(name, path, request["arguments"], progress)
        if code not in DONE | RESTART:
            fix = "look that number up in the installer's own words, then converge again"
            raise Refused(f"install {name}", f"its installer ended with {code}", fix)
        if installed(name) is None:
            why = "its installer was content, but Windows does not list it"
            raise Refused(f"install {name}", why, "check the name and the arguments in group_data")
        self.home.remember("installer", name, restart=self.system.this_boot() if code in RESTART else "")
        discard(path)
        return {"installer": self.look({name: {}}), "reboot": Reboots(self.system, self.home).look({"pending": {}})}

    def _fetched(self, request: State, progress: Progress) -> str:
        ending = os.path.splitext(request["url"].partition("?")[0])[1].lower() or ".exe"
        path = os.path.join(self.home.folder("downloads"), request["sha256"] + ending)
        if not (os.path.exists(path) and sha256_of(path) == request["sha256"]):
            fetch(self.system, request["url"], path, progress)
        found = sha256_of(path)
        if found != request["sha256"]:
            discard(path)
            why = f"its sha256 is {found}, not {request['sha256']}"
            raise Refused(
                f"download {request['url']}", why, "check URL and sha256 in group_data; nothing was installed"
            )
        return path

    @staticmethod
    def _run(name: str, path: str, arguments: list[str], progress: Progress) -> int:
        """Its exit code. While another installation runs, Windows says 1618: wait for that."""
        command = [path, *arguments]
        if path.endswith(".msi"):
            command = [rf"{os.environ['SYSTEMROOT']}\System32\msiexec.exe", "/i", path, *arguments]
        for _ in range(BUSY_TRIES):
            try:
                code, _, _ = win32.run(command[0], command[1:], timeout_s=LONGEST_S, quiet=True)
            except TimeoutError as error:
                fix = "install it by hand there, or give it arguments in group_data with which it asks no question"
                raise Refused(f"install {name}", f"its installer did not end within {LONGEST_S:g} s", fix) from error
            except OSError as error:
                raise Refused(f"install {name}", f"Windows does not start it: {error.strerror}", "check it") from error
            if code & 0xFFFFFFFF != BUSY:
                return code
            progress({"what": "waiting for another installation"})
            time.sleep(BUSY_PAUSE_S)
        return BUSY

    def remove(self, request: State, progress: Progress) -> State:
        """It stays: only its own uninstaller knows what belongs to it. We just no longer ask for it."""
        self.home.forget("installer", request["id"])
        return {"installer": {request["id"]: None}}
