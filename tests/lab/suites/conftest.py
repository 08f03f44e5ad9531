"""What every lab suite stands on: a converged lab, a copy of this checkout to edit, and the desk's own commands.

The suites run in the order of their numbers: each leaves the lab converged. They change data and templates only in
the copy, and break things only on the lab's machines.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[3]

# A change of a template that the gateway starts with as well as without.
HARMLESS = (
    "templates/gateway/config.yaml.j2",
    "  turn_off_message_logging: true\n",
    "  turn_off_message_logging: true\n  json_logs: true\n",
)


# `apex  ~ file C:\litellm\config.yaml: content differs`; a name may hold blanks, and a colon that no blank follows.
PLANNED = re.compile(r"^(\S+)\s+~ (\S+) (.*?): ", re.MULTILINE)


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str

    def changes(self) -> list[str]:
        """The planned changes, as `machine kind id`."""
        return [" ".join(found) for found in PLANNED.findall(self.out)]

    def unchanged(self, machine: str) -> bool:
        """All of that machine was looked at and is as wanted: not merely nothing changed."""
        return bool(re.search(rf"^{machine}: 0 changed, [1-9]\d* as wanted, [^,\n]+$", self.out, re.MULTILINE))


@dataclass
class Desk:
    """The desk's commands, run in one checkout against the lab."""

    checkout: Path

    def run(self, command: str, *settings: str, timeout_s: int = 900, **environment: str) -> Ran:
        """`make <command> LAB=1 <settings>`, without make's own lines."""
        done = subprocess.run(
            [sys.executable, "-m", "scripts.desk", command, "LAB=1", *settings],
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            env={**os.environ, **environment},
        )
        print(f"--- {command} {' '.join(settings)} -> {done.returncode}\n{done.stdout}")
        return Ran(done.returncode, done.stdout)

    def start(self, *settings: str) -> subprocess.Popen[str]:
        """`make converge LAB=1 <settings>` in the background, in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "scripts.desk", "converge", "LAB=1", *settings],
            cwd=self.checkout,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be there exactly once."""
        file = self.checkout / path
        text = file.read_text()
        assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
        file.write_text(text.replace(old, new))


def ended(running: subprocess.Popen[str], within_s: float = 400) -> Ran:
    """How what `start` began ended."""
    out, _ = running.communicate(timeout=within_s)
    print(f"--- converge -> {running.returncode}\n{out}")
    return Ran(running.returncode, out)


def until(true: Callable[[], object], within_s: float = 90) -> None:
    """Wait for it."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"it did not come so within {within_s} s"
        time.sleep(0.02)


# What the suites look at and break: on Linux, on Windows.
PLACES = {
    "agent": ("/var/lib/llm-harness", r"C:\ProgramData\ssh\llm-harness"),
    "manifest": ("/var/lib/llm-harness/managed.json", r"C:\ProgramData\ssh\llm-harness\managed.json"),
    "gateway": ("/opt/litellm", r"C:\litellm"),
    "config": ("/opt/litellm/app/config.yaml", r"C:\litellm\app\config.yaml"),
    "guard": ("/opt/litellm/app/guard.py", r"C:\litellm\app\guard.py"),
    "keys": ("/opt/litellm/gateway.env", r"C:\litellm\gateway.env"),
    "ollama": ("/opt/ollama", r"C:\Program Files\Ollama"),
    "app": ("/opt/litellm/app", r"C:\litellm\app"),
    "venvs": ("/opt/litellm/venvs", r"C:\litellm\venvs"),
    "lock": ("/opt/litellm/requirements.lock", r"C:\litellm\requirements.lock"),
    "uv": ("/opt/uv", r"C:\Program Files\uv"),
    "python": ("", r"C:\Program Files\Python for LiteLLM"),  # elsewhere the machine's own
    "service": ("", r"C:\ProgramData\ssh\llm-harness\services\litellm"),
}


@dataclass
class Machine:
    """One machine of the lab, reached past SSH: the suites must see it even when its network is gone."""

    name: str
    container: str
    drive: str = ""  # the folder that is C:\\ on a machine that is a Windows one

    @property
    def windows(self) -> bool:
        return bool(self.drive)

    def path(self, what: str) -> str:
        """Where that thing lies, in the machine's own words."""
        return PLACES[what][self.windows]

    def at(self, path: str) -> str:
        """The same path for `sh`."""
        return shlex.quote(f"{self.drive}{path[2:]}".replace("\\", "/") if self.windows else path)

    def sh_at(self, script: str, *what: str, check: bool = True) -> str:
        """`sh` with each `{}` of the script a place."""
        return self.sh(script.format(*(self.at(self.path(each)) for each in what)), check)

    def control(self, verb: str, **values: object) -> Any:
        """What a person at the Windows machine would do, or would see."""
        words = [f"{name}={json.dumps(value)}" for name, value in values.items()]
        done = subprocess.run(
            ["docker", "exec", self.container, "windows-control", verb, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, f"{self.name}: {verb} {words}: {done.stdout}{done.stderr}"
        try:
            return json.loads(done.stdout)
        except ValueError:
            return done.stdout

    def engine(self) -> str:
        """Ollama's process: its number and when it began."""
        return self.sh("ps -o pid=,lstart= -p $(pgrep -f '[o]llama serve')")

    def sh(self, script: str, check: bool = True) -> str:
        """Run a shell script there as root; its output."""
        done = subprocess.run(
            ["docker", "exec", "-i", self.container, "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0 or not check, f"{self.name}: {script}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


def described() -> dict[str, Any]:
    """lab.json of the running lab."""
    name = os.environ.get("LAB_NAME", "lab")
    state = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "llm-harness" / name
    path = state / "lab.json"
    if not path.exists():
        pytest.exit("the lab is not running: make lab", returncode=1)
    found: dict[str, Any] = json.loads(path.read_text())
    return {**found, "state": str(state)}


@pytest.fixture(scope="session")
def lab() -> dict[str, Any]:
    """The running lab."""
    return described()


@pytest.fixture(scope="session")
def machines(lab: dict[str, Any]) -> dict[str, Machine]:
    return {name: Machine(name, each["container"], each.get("drive", "")) for name, each in lab["machines"].items()}


@pytest.fixture
def apex(machines: dict[str, Machine]) -> Machine:
    return machines["apex"]


@pytest.fixture
def g16(machines: dict[str, Machine]) -> Machine:
    return machines["g16"]


@pytest.fixture(scope="session")
def desk() -> Desk:
    """The commands of this checkout itself."""
    return Desk(REPOSITORY)


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Desk]:
    """A copy of this checkout, free to edit. Whatever it did, the checkout itself makes the lab whole again."""
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
    shutil.copytree(REPOSITORY, checkout, ignore=ignored)
    (checkout / ".venv").symlink_to(REPOSITORY / ".venv")
    asked = ["git", "rev-parse", "--absolute-git-dir"]  # it may converge last, and the machine tells of which commit
    found = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    (checkout / ".git").write_text(f"gitdir: {found.stdout}")
    yield Desk(checkout)
    healed = Desk(REPOSITORY).run("converge")
    assert healed.code == 0, healed.out
