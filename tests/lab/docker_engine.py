"""Docker Engine: there, started, or told how to get it. Where no init system runs it, it is started by hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.lab.settings import Lab
from tests.lab.shell import Trouble, last_words, run, succeeds
from tests.lab.steps import Steps

START_TIMEOUT_S = 60
OWN_PIDS = (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid"))


def ensure_engine(lab: Lab, steps: Steps) -> None:
    """Docker answers when this returns. Raises Trouble with the fix when it can't."""
    if answers():
        return
    if os.geteuid() != 0:
        raise Trouble(
            "Docker does not answer: start it (sudo systemctl start docker) and let yourself use it "
            "(sudo usermod -aG docker $USER, then log in anew), or run this as root"
        )
    with steps.step("engine", "starting Docker Engine", "5 s"):
        log = lab.states / "engine" / "dockerd.log"
        if Path("/run/systemd/system").is_dir():
            run(["systemctl", "start", "docker"], trouble="systemd cannot start Docker")
            _await_answer(None, log)
        else:
            _await_answer(_start_by_hand(log), log)


def answers() -> bool:
    return succeeds(["docker", "version", "--format", "{{.Server.Version}}"], timeout_s=20)


def _start_by_hand(log: Path) -> subprocess.Popen[bytes]:
    """Start dockerd in a session of its own, so that it outlives this program."""
    log.parent.mkdir(parents=True, exist_ok=True)
    pid_file = log.with_name("dockerd.pid")
    for stale in (pid_file, *OWN_PIDS):
        _drop_stale(stale)
    program = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise Trouble("there is a docker command but no Docker Engine: apt-get install docker.io")
    with log.open("ab") as output:
        return subprocess.Popen(
            [program, "--pidfile", str(pid_file)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )


def _drop_stale(pid_file: Path) -> None:
    """Remove a pid file whose process is gone or is somebody else by now: dockerd refuses to start beside it."""
    try:
        pid = int(pid_file.read_text().strip() or 0)
    except (FileNotFoundError, ValueError):
        pid_file.unlink(missing_ok=True)
        return
    if _alive_as(pid) not in ("dockerd", "containerd"):
        pid_file.unlink(missing_ok=True)


def _alive_as(pid: int) -> str:
    """The program that `pid` runs, or "" if it is gone: a zombie still has a name and no life."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except FileNotFoundError:
        return ""
    return "" if rest.split()[0] in ("Z", "X") else name


def _await_answer(daemon: subprocess.Popen[bytes] | None, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers():
        if daemon is not None and daemon.poll() is not None:
            raise Trouble(f"Docker Engine ended at once, says {log}: {last_words(log.read_bytes()[-4000:], lines=1)}")
        if time.monotonic() > deadline:
            where = f"see {log}" if daemon else "see journalctl -u docker"
            raise Trouble(f"Docker Engine did not come up in {START_TIMEOUT_S} s: {where}")
        time.sleep(0.3)
