"""What the agent's tests share: requests, the packed agent in a process of its own, the Pythons of this machine."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploys.facts import zipapp

ROOT = Path(__file__).resolve().parents[3]
ME = pwd.getpwuid(os.geteuid()).pw_name
MINE = "administrators" if os.geteuid() == 0 else f"only {ME}"  # two words for one thing when root tests
RUN = {"id": "run-1", "by": "ann", "desk": "g16", "when": "2026-11-22T10:00:00+00:00", "commit": "0123456789ab"}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")

State = dict[str, Any]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def file_request(path: Path | str, text: str, access: str = MINE, **more: Any) -> State:
    """What the desk sends for `files.config`."""
    content = text.encode()
    encoded = base64.b64encode(content).decode()
    return {"kind": "file", "id": str(path), "content": encoded, "sha256": sha256(content), "access": access, **more}


def ensure(request: State) -> State:
    return {"verb": "ensure", "run": RUN, **request}


@dataclass
class Packed:
    """The zipapp in a home of its own, run as the desk runs it."""

    home: Path
    python: str = sys.executable

    @property
    def file(self) -> Path:
        return self.home / zipapp.file_name()

    def install(self) -> Packed:
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.file.write_bytes(zipapp.packed())
        return self

    @property
    def command(self) -> list[str]:
        return [self.python, "-I", "-X", "utf8", str(self.file)]

    def start(self, verb: str, **more: Any) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([*self.command, verb], stdin=pipe, stdout=pipe, stderr=pipe, **more)

    def raw(self, verb: str, line: bytes, **more: Any) -> tuple[int, bytes, bytes]:
        """(exit code, stdout, stderr) for one line on stdin, which is left open until the agent has ended."""
        with self.start(verb, **more) as process:
            assert process.stdin and process.stdout and process.stderr
            process.stdin.write(line)
            process.stdin.flush()
            out = process.stdout.read()  # ends when the agent does: stdin still hangs open
            return process.wait(timeout=20), out, process.stderr.read()

    def ask(self, verb: str, request: State, **more: Any) -> State:
        """The answer; whatever it is, it is one ASCII document, and nobody saw a traceback."""
        code, out, err = self.raw(verb, json.dumps(request).encode() + b"\n", **more)
        assert b"Traceback" not in err, err.decode()
        assert out.count(b"\n") == 1
        answer: State = json.loads(out.decode("ascii"))
        assert code == (1 if "error" in answer else 0)
        return answer

    def do(self, request: State) -> State:
        return self.ask("do", ensure(request))


def closed_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextlib.contextmanager
def speaks_ssh() -> Iterator[str]:
    """The URL of a port where something else than HTTP is spoken."""

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as connection:
                    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@functools.cache
def pythons() -> dict[str, str]:
    """{"3.12.1": path} of every Python of this machine that the agent must run under (3.9 and younger)."""
    names = [f"python3.{minor}" for minor in range(9, 20)]
    candidates = [*filter(None, map(shutil.which, ["python3", *names])), sys.executable, "/usr/bin/python3"]
    candidates += [str(each) for each in sorted(Path.home().glob(".pyenv/versions/*/bin/python3"))]
    found: dict[str, str] = {}
    for path in dict.fromkeys(candidates):
        code = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
        done = subprocess.run([path, "-I", "-c", code], capture_output=True, text=True, check=False)
        version = done.stdout.strip()
        if done.returncode == 0 and tuple(map(int, version.split(".")[:2])) >= (3, 9):
            found.setdefault(version, path)
    return found
