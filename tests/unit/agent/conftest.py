"""A home of its own for each test, the real POSIX half, and stand-in programs on PATH where a test asks for them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploys.agent.home import Home
from deploys.agent.main import Agent
from deploys.agent.posix.system import Posix

from .support import Packed

Put = Callable[[str, str], Path]


@pytest.fixture
def system() -> Posix:
    return Posix()


@pytest.fixture
def home(tmp_path: Path, system: Posix) -> Home:
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    return Home(system, str(directory))


@pytest.fixture
def agent(system: Posix, home: Home) -> Agent:
    return Agent(system, home)


@pytest.fixture
def packed(tmp_path: Path) -> Packed:
    return Packed(tmp_path / "packed home").install()


@pytest.fixture
def put_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Puts a shell script before all others on PATH. They replay what the real program printed; the lab's suites
    prove the same code against the real program."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name: str, script: str) -> Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return program

    return put


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tiny", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("no file system may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
