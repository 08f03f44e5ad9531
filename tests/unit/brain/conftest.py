"""A gateway, this machine's own Ollama, and the real `brain` between them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pytest

from .door import Asked, Door, Exchange, open_door

ROOT = Path(__file__).resolve().parents[3]
BRAIN = ROOT / "scripts" / "brain"
KEY = "sk-brain-test-5d41402abc4b2a76"


def interruptible() -> None:
    """In the child: signals as a terminal would leave them, even when the tests run in the background or by `nohup`."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def render(**values: object) -> str:
    """The settings file as converge renders it."""
    template = (ROOT / "templates" / "brain" / "settings.j2").read_text()
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    return environment.from_string(template).render(**values)


@dataclass
class Brain:
    """Runs `brain` with settings of its own, and with an environment that knows nothing of the tester's."""

    home: Path
    values: dict[str, object]
    extra_lines: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    mode: int = 0o600

    @property
    def settings(self) -> Path:
        return self.home / ".config" / "brain" / "settings"

    def write_settings(self, text: str | None = None) -> None:
        self.settings.parent.mkdir(parents=True, exist_ok=True)
        self.settings.unlink(missing_ok=True)
        self.settings.write_text(render(**self.values) + "\n" + self.extra_lines if text is None else text)
        self.settings.chmod(self.mode)

    def environ(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANG": "C.UTF-8", **self.environment}

    def run(
        self, *words: str, stdin: str | bytes | None = None, timeout_s: float = 20
    ) -> subprocess.CompletedProcess[str]:
        """Ask and wait. Bytes that are no UTF-8 come back as surrogates."""
        data = stdin.encode() if isinstance(stdin, str) else stdin or b""
        done = subprocess.run(
            [BRAIN, *words],
            input=data,
            capture_output=True,
            env=self.environ(),
            timeout=timeout_s,
            check=False,
        )
        out, err = (each.decode(errors="surrogateescape") for each in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Ask and do not wait. In a session of its own."""
        return subprocess.Popen(
            [BRAIN, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ(),
            start_new_session=True,
            preexec_fn=interruptible,  # noqa: PLW1509
        )


@pytest.fixture
def gateway() -> Iterator[Door]:
    with open_door() as door:
        yield door


@pytest.fixture
def ollama() -> Iterator[Door]:
    with open_door() as door:
        yield door


def brain_for(home: Path, gateway: Door, ollama: Door, extra_lines: str = "") -> Brain:
    values: dict[str, object] = {
        "gateway_url": gateway.url,
        "key": KEY,
        "route": "default",
        "local_url": ollama.url,
        "local_model": "gemma4:e4b",
        "connect_timeout_s": 0.6,
    }
    made = Brain(home, values, extra_lines)
    made.write_settings()
    return made


@pytest.fixture
def brain(tmp_path: Path, gateway: Door, ollama: Door) -> Brain:
    return brain_for(tmp_path, gateway, ollama)


@dataclass
class Stalled:
    """Two questions to a gateway that falls silent."""

    in_mid_stream: subprocess.Popen[bytes]
    before_the_first_byte: subprocess.Popen[bytes]
    local_asked: list[Asked]


@pytest.fixture(scope="session", autouse=True)
def stalled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stalled]:
    """Asked before all other tests: curl takes six seconds to be sure of a silence of one."""

    def stall(exchange: Exchange) -> None:
        if exchange.server.door.asked[-1].body["model"] == "talks":
            exchange.open_stream()
            exchange.say("so far")
        exchange.hold(60)

    with open_door() as gateway, open_door() as ollama:
        gateway.behaviour = stall
        brain = brain_for(tmp_path_factory.mktemp("stalled"), gateway, ollama, "silence_timeout_s=1\n")
        talks = brain.start("--route", "talks", "hello")
        assert gateway.holding.wait(10)
        asked = Stalled(talks, brain.start("hello"), ollama.asked)
        yield asked
        for each in (asked.in_mid_stream, asked.before_the_first_byte):
            each.terminate()
            each.communicate()
