"""Windows' optional features, by `dism` in English, which every installation has."""

from __future__ import annotations

import re

from ..errors import Refused
from ..kind import OneByOne
from ..system import Progress, State
from . import win32
from .reboots import Reboots

RESTART = 3010
STATES = {"enabled": True, "enable pending": True, "disabled": False, "disable pending": False}


class Features(OneByOne):
    """Kind `feature`. Identity: its name, such as "VirtualMachinePlatform". State: {"enabled", "pending"}."""

    def state(self, name: str) -> State:
        out = _dism(name, f"look at feature {name}", "/Get-FeatureInfo")
        found = re.search(r"^State : ([A-Za-z ]+?)\s*$", out, re.M)
        state = found[1].lower() if found else ""
        return {"enabled": STATES.get(state, False), "pending": state.endswith("pending")}

    def ensure(self, request: State, progress: Progress) -> State:
        """`request`: id, enabled (bool). Never restarts: the answer tells who waits for that."""
        name = request["id"]
        self.home.remember("feature", name)
        if self.state(name)["enabled"] is not request["enabled"]:
            self._set(name, request["enabled"])
        return {"feature": self.look({name: {}}), "reboot": Reboots(self.system, self.home).look({"pending": {}})}

    def _set(self, name: str, enabled: bool) -> None:
        verb = ["/Enable-Feature", "/All"] if enabled else ["/Disable-Feature"]
        what = f"turn feature {name} {'on' if enabled else 'off'}"
        _dism(name, what, *verb, "/NoRestart")
        if self.state(name)["enabled"] is not enabled:
            raise Refused(what, "Windows left it as it was", r"see C:\Windows\Logs\DISM\dism.log there")

    def remove(self, request: State, progress: Progress) -> State:
        """It stays as it is: other software of the machine's owner may need it by now. We just no longer ask for it."""
        self.home.forget("feature", request["id"])
        return {"feature": {request["id"]: None}}


def _dism(name: str, what: str, *words: str) -> str:
    arguments = ["/English", "/Online", *words, f"/FeatureName:{name}", "/Quiet" if "/NoRestart" in words else ""]
    code, out, err = win32.run("dism.exe", [each for each in arguments if each], timeout_s=1800)
    if code not in (0, RESTART):
        said = " ".join(win32.text(out or err).split())[-300:]
        raise Refused(what, f"dism says {code}: {said}", "check its name, and connect as an administrator")
    return win32.text(out)
