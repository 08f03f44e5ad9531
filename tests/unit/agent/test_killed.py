"""kill -9 in the middle: whatever the agent was writing is the old or the new, never half."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from deploys.agent.home import Home
from deploys.agent.main import Agent
from deploys.agent.posix.system import Posix
from deploys.agent.system import no_progress

from .support import MINE, ROOT, RUN, file_request, sha256

KILLS = 12
OLD, NEW = ("old " * 60_000, "new " * 80_000)

WRITER = """
import json, sys
sys.path.insert(0, sys.argv[1])
from deploys.agent.home import Home
from deploys.agent.main import Agent
from deploys.agent.posix.system import Posix
from deploys.agent.system import no_progress
system = Posix()
agent = Agent(system, Home(system, sys.argv[2]))
requests = json.loads(sys.stdin.readline())
print("ready", flush=True)
while True:
    for request in requests:
        agent.work({"verb": "ensure", **request}, no_progress)
"""


def test_file_and_manifest_are_whole_wherever_the_agent_dies(tmp_path: Path) -> None:
    path, home = tmp_path / "place" / "f", tmp_path / "home"
    home.mkdir()
    whole = {sha256(OLD.encode()), sha256(NEW.encode())}
    requests = json.dumps([file_request(path, text, MINE) for text in (OLD, NEW)]) + "\n"
    dice = random.Random(20261122)
    found = set()
    for _ in range(KILLS):
        command = [sys.executable, "-c", WRITER, str(ROOT), str(home)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdin and writer.stdout
            writer.stdin.write(requests)
            writer.stdin.flush()
            assert writer.stdout.readline() == "ready\n"
            time.sleep(0.02 + dice.random() * 0.05)
            os.kill(writer.pid, signal.SIGKILL)
        if path.exists():
            found.add(sha256(path.read_bytes()))
        entries = json.loads((home / "managed.json").read_text())
        assert [each["id"] for each in entries] == [str(path)]
    assert found
    assert found <= whole
    system = Posix()
    agent = Agent(system, Home(system, str(home)))
    agent.home.take_lease(RUN)
    agent.work({"verb": "ensure", **file_request(path, "last")}, no_progress)
    assert [*home.rglob(".new-*")] == []
    assert [each.name for each in path.parent.iterdir()] == ["f"]
    kept = Path(agent.home.kept(str(path)))
    assert sha256(kept.read_bytes()) in whole
