"""One screen of all machines: who answers, what runs there, who made it so. Exit 1 when something is not well."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.desk import machines, road
from scripts.desk.desk import Desk, Wish
from scripts.desk.machines import Machine
from scripts.desk.stopwatch import spoken

CONNECT_S = 4
ANSWER_S = 8
QUICK = ("-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}")
CARDS = "nvidia-smi --query-gpu=name,memory.used,memory.total --format=csv,noheader,nounits"
WIDTH = 6


@dataclass(frozen=True)
class Answer:
    """What a machine said: one text a question, or why it said nothing."""

    took_s: float
    texts: Mapping[str, str]
    silence: str = ""


def run(desk: Desk, wish: Wish) -> int:
    chosen = machines.chosen(desk, wish)
    with ThreadPoolExecutor(max_workers=max(1, len(chosen))) as pool:
        answers = list(pool.map(ask, chosen))
    well = [tell(machine, answer) for machine, answer in zip(chosen, answers, strict=True)]
    return 0 if all(well) else 1


def questions(machine: Machine) -> str:
    """One command line for the machine's own shell: each answer after a line `@name`."""
    data = machine["data"]
    windows = "windows" in machine["groups"]
    null, joint, blank = ("nul", "& ", "echo.") if windows else ("/dev/null", "; ", "echo")
    commands = {}
    if agent := data.get("agent"):
        separator, read = ("\\", "type") if windows else ("/", "sudo -n cat" if data.get("_sudo") else "cat")
        commands["converged"] = f"{read} {agent['home']}{separator}provenance.json"
    if ollama := data.get("ollama"):
        for name in ("version", "tags", "ps"):
            commands[name] = f"curl -s -m 3 http://127.0.0.1:{ollama['port']}/api/{name}"
        commands["cards"] = CARDS
    if gateway := data.get("gateway"):
        commands["gateway"] = _gateway(gateway, windows)
    said = [f"echo @{name}{joint}{command} 2>{null}{joint}{blank}" for name, command in commands.items()]
    return joint.join(said)


def _gateway(gateway: Mapping[str, Any], windows: bool) -> str:
    address = "127.0.0.1"
    if gateway.get("publish") != "serve":
        address = "%i" if windows else "$(tailscale ip -4 | head -n 1)"
    asked = f"curl -s -m 3 http://{address}:{gateway['port']}/health/liveliness"
    return f"(for /f %i in ('tailscale ip -4') do @{asked})" if "%i" in asked else asked


def ask(machine: Machine) -> Answer:
    """One SSH exec, a few seconds at most."""
    start = time.monotonic()
    try:
        done = subprocess.run(
            [*road.command(machine, QUICK), questions(machine)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_S,
        )
    except subprocess.TimeoutExpired:
        return Answer(ANSWER_S, {}, f"no answer within {ANSWER_S} s")
    took_s = time.monotonic() - start
    texts: dict[str, str] = {}
    name = ""
    for line in done.stdout.splitlines():
        if line.startswith("@"):
            name = line[1:].strip()
            texts[name] = ""
        elif name:
            texts[name] = f"{texts[name]}\n{line}".strip()
    if not texts:
        return Answer(took_s, {}, (done.stderr.strip().splitlines() or [f"ssh ended with {done.returncode}"])[-1])
    return Answer(took_s, texts)


def tell(machine: Machine, answer: Answer) -> bool:
    """Print one machine; whether all is well there."""
    name, data, texts = machine["name"], machine["data"], answer.texts
    if answer.silence:
        print(f"{name:<{WIDTH}}not reachable ({answer.silence}): see that it is on and on the tailnet")
        return False
    print(f"{name:<{WIDTH}}reachable in {spoken(answer.took_s)}")
    rows = {"converged": _converged(texts.get("converged", ""))}
    well = True
    if "ollama" in data:
        rows["ollama"] = _ollama(texts)
        rows["vram"] = _cards(texts.get("cards", ""))
        well = bool(_json(texts.get("version", "")))
    if "gateway" in data:
        alive = "alive" in texts.get("gateway", "")
        port = data["gateway"]["port"]
        rows["gateway"] = f"answers on port {port}" if alive else f"does not answer on port {port}: make converge"
        well = well and alive
    for row, text in rows.items():
        print(f"{'':<{WIDTH}}{row:<10} {text}")
    return well


def _converged(text: str) -> str:
    left = _json(text)
    if not left:
        return "never, or by nobody who left a name"
    when = datetime.fromisoformat(left["when"])
    ago = spoken((datetime.now(UTC) - when).total_seconds())
    return f"{when.astimezone():%Y-%m-%d %H:%M} ({ago} ago) by {left['by']} at {left['desk']}, commit {left['commit']}"


def _ollama(texts: Mapping[str, str]) -> str:
    version = _json(texts.get("version", "")).get("version")
    if not version:
        return "does not answer: make converge"
    held = [each["name"] for each in _json(texts.get("tags", "")).get("models", [])]
    loaded = [
        f"{each['name']} ({each['size_vram'] / 1e9:.1f} GB of VRAM)" if each.get("size_vram") else each["name"]
        for each in _json(texts.get("ps", "")).get("models", [])
    ]
    return f"{version}; holds {', '.join(held) or 'no model'}; in memory: {', '.join(loaded) or 'none'}"


def _cards(text: str) -> str:
    cards = [[part.strip() for part in line.split(",")] for line in text.splitlines()]
    told = [
        f"{int(card[1]) / 1024:.1f} of {int(card[2]) / 1024:.1f} GB used on {card[0]}"
        for card in cards
        if len(card) == 3 and card[1].isdigit() and card[2].isdigit()
    ]
    return "; ".join(told) or "no NVIDIA GPU"


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
