"""Leftovers of a dead engine: which pid files are believed."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.lab.docker_engine import _alive_as, _drop_stale


def test_a_living_process_is_known_by_its_name() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        assert _alive_as(child.pid) == "sleep"
    finally:
        child.kill()
        child.wait()


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is not yet buried
    try:
        assert not _alive_as(child.pid)
    finally:
        child.wait()
    assert not _alive_as(child.pid)


@pytest.mark.parametrize("content", ["", "x", "0", pytest.param(str(os.getpid()), id="our own"), "4194304"])
def test_a_pid_file_that_names_no_engine_goes(content: str, tmp_path: Path) -> None:
    pid_file = tmp_path / "dockerd.pid"
    pid_file.write_text(content)
    _drop_stale(pid_file)
    assert not pid_file.exists()


def test_no_pid_file_is_no_trouble(tmp_path: Path) -> None:
    _drop_stale(tmp_path / "none")


def test_the_pid_file_of_a_running_engine_stays(tmp_path: Path) -> None:
    engine = tmp_path / "dockerd"
    engine.write_bytes(Path("/bin/sleep").read_bytes())
    engine.chmod(0o755)
    child = subprocess.Popen([engine, "60"])
    pid_file = tmp_path / "dockerd.pid"
    pid_file.write_text(str(child.pid))
    try:
        _drop_stale(pid_file)
        assert pid_file.exists()
    finally:
        child.kill()
        child.wait()
