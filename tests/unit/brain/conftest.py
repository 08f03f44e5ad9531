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

from .door import Door, open_door

ROOT = Path(__file__).resolve().parents[3]
BRAIN = ROOT / "scripts" / "brain"
KEY = "sk-brain-test-5d41402abc4b2a76"


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
            [BRAIN, *words], input=data, capture_output=True, env=self.environ(), timeout=timeout_s, check=False
        )
        out, err = (each.decode(errors="surrogateescape") for each in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Ask and do not wait. In a session of its own, with SIGINT as a terminal would leave it."""
        return subprocess.Popen(
            [BRAIN, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ(),
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )


@pytest.fixture
def gateway() -> Iterator[Door]:
    with open_door() as door:
        yield door


@pytest.fixture
def ollama() -> Iterator[Door]:
    with open_door() as door:
        yield door


@pytest.fixture
def brain(tmp_path: Path, gateway: Door, ollama: Door) -> Brain:
    made = Brain(
        home=tmp_path,
        values={
            "gateway_url": gateway.url,
            "key": KEY,
            "route": "default",
            "local_url": ollama.url,
            "local_model": "gemma4:e4b",
            "connect_timeout_s": 0.6,
        },
    )
    made.write_settings()
    return made
