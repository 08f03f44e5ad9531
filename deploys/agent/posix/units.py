"""systemd units of our services: rendered from the neutral description, and read back."""

from __future__ import annotations

import re
import shlex
from typing import Optional, Sequence

from ..errors import Refused
from ..system import State

# A unit and our neutral description are two forms of one thing: `parse_unit(render_unit(spec)) == spec`,
# and a unit that somebody edited no longer renders back to its own text.

UNIT = """\
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
{account}{state}{environment}{secrets}ExecStart={command}
Restart=always
RestartSec=2
KillMode=control-group
TimeoutStopSec=20

[Install]
WantedBy=multi-user.target
"""

# Ending with 0 is its end; killed, it comes again at once.
WATCHER = """\
[Unit]
Description=llm-harness: undoes a change to the way in that nobody confirms
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


def render_watcher(command: Sequence[str]) -> str:
    return WATCHER.format(command=" ".join(_quoted(each.replace("$", "$$")) for each in command))


def render_unit(spec: State) -> str:
    """The systemd unit of a service. `account` "system" is root; "own" a throw-away user that owns only `state`."""
    state = spec.get("state") or ""
    secrets = spec.get("secrets", "")
    words = [spec["description"], state, *spec["environment"], *spec["environment"].values(), *spec["command"], secrets]
    if any(not each.isprintable() for each in words):
        why = "a line break or control character is in its description, environment or command"
        raise Refused(f"define service {spec['name']}", why, "correct it in group_data")
    if state and not state.startswith("/var/lib/"):
        raise Refused(
            f"define service {spec['name']}",
            f"its state directory {state} is not under /var/lib",
            "choose one that is",
        )
    return UNIT.format(
        description=spec["description"].replace("%", "%%"),
        account="DynamicUser=yes\n" if spec["account"] == "own" else "",
        state=f"StateDirectory={state[len('/var/lib/') :]}\n" if state else "",
        environment="".join(f"Environment={_quoted(f'{k}={v}')}\n" for k, v in sorted(spec["environment"].items())),
        # opened by root before it becomes its own user: no second file, and nobody else's to read
        secrets=f"StandardInput=file:{secrets.replace('%', '%%')}\n" if secrets else "",
        command=" ".join(_quoted(each.replace("$", "$$")) for each in spec["command"]),
    )


def parse_unit(text: str) -> Optional[State]:
    """The description that renders to this unit, or None when it is none of ours."""
    lines = dict(re.findall(r"^(Description|StateDirectory|DynamicUser|ExecStart)=(.*)$", text, re.M))
    if "ExecStart" not in lines or "Description" not in lines:
        return None
    settings = [word for each in re.findall(r"^Environment=(.*)$", text, re.M) for word in _unquoted(each)]
    secrets = re.search(r"^StandardInput=file:(.*)$", text, re.M)
    return {
        **({"secrets": secrets[1].replace("%%", "%")} if secrets else {}),
        "description": lines["Description"].replace("%%", "%"),
        "account": "own" if lines.get("DynamicUser") == "yes" else "system",
        "state": f"/var/lib/{lines['StateDirectory']}" if "StateDirectory" in lines else "",
        "environment": dict(each.partition("=")[::2] for each in settings),
        "command": [each.replace("$$", "$") for each in _unquoted(lines["ExecStart"])],
    }


def _quoted(text: str) -> str:
    """One word of a unit file: `%` means itself. (`$` does so in Environment=, and doubled in ExecStart=.)"""
    text = text.replace("%", "%%")
    if re.fullmatch(r"[\w@%+=:,./$*-]+", text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _unquoted(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:
        return [text]
    return [each.replace("%%", "%") for each in words]
