"""No-op converge of the lab beside Ansible doing the same, and a first converge: `make bench-converge LAB=1`.

Prints medians of several runs, the number of SSH execs, and the floor: pyinfra's start and one connection a machine.
At the end the lab's two machines are made anew, bare.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.counted import EXECS

REPOSITORY = Path(__file__).parents[2]
RUNS = 5
FILES = {
    "apex": {
        "sshd.conf": "/etc/ssh/sshd_config.d/10-llm-harness.conf",
        "ollama.service": "/etc/systemd/system/ollama.service",
        "gateway.env": "/opt/litellm/gateway.env",
        "compose.yaml": "/opt/litellm/compose.yaml",
        "guard.py": "/opt/litellm/app/guard.py",
        "keys.py": "/opt/litellm/app/keys.py",
        "start.py": "/opt/litellm/app/start.py",
        "config.yaml": "/opt/litellm/app/config.yaml",
    },
    "g16": {
        "sshd.conf": "/etc/ssh/sshd_config.d/10-llm-harness.conf",
        "ollama.service": "/etc/systemd/system/ollama.service",
        "brain": "/usr/local/bin/brain",
        "settings": "/home/desk/.config/brain/settings",
    },
}


def lab() -> dict[str, Any]:
    """lab.json of the running lab, with its directory as `state`."""
    state = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "llm-harness"
    state /= os.environ.get("LAB_NAME", "lab")
    if not (state / "lab.json").exists():
        sys.exit("the lab is not running: make lab")
    return {**json.loads((state / "lab.json").read_text()), "state": str(state)}


def timed(command: list[str], cwd: Path, environment: dict[str, str]) -> float:
    """Seconds that a command takes; its output only when it fails.

    Into a file, not a pipe: Ansible leaves an ssh behind that would hold a pipe open for a minute.
    """
    with tempfile.TemporaryFile() as out:
        began = time.monotonic()
        done = subprocess.run(command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        took_s = time.monotonic() - began
        if done.returncode:
            out.seek(0)
            said = out.read().decode(errors="replace")[-3000:]
            sys.exit(f"{' '.join(command[:4])} ended with {done.returncode}:\n{said}")
    return took_s


def row(what: str, seconds: list[float], note: str = "") -> float:
    median = statistics.median(seconds)
    print(f"{what:<46} {median:7.2f} s   ({min(seconds):.2f} .. {max(seconds):.2f})  {note}", flush=True)
    return median


def execs_of(counts: Path) -> dict[str, int]:
    """{machine: SSH execs} of what tests.bench.counted left."""
    told: dict[str, dict[str, int]] = json.loads(counts.read_text())
    return {name: each[EXECS] for name, each in told.items()}


def ansible(found: dict[str, Any], scratch: Path) -> list[str]:
    """Ansible in a virtualenv of its own, an inventory, and the machines' files as the playbook's sources."""
    venv = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llm-harness" / "ansible"
    if not (venv / "bin" / "ansible-playbook").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        lock = REPOSITORY / "tests/bench/requirements.lock"
        subprocess.run([venv / "bin/pip", "install", "-q", "--require-hashes", "-r", lock], check=True)
    for machine, files in FILES.items():
        (scratch / machine).mkdir(mode=0o700)
        for name, path in files.items():
            command = ["docker", "exec", found["machines"][machine]["container"], "cat", path]
            (scratch / machine / name).write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    facts = {
        "files": str(scratch),
        "ollama_url": found["ollama"]["url"],
        "ollama_version": found["ollama"]["version"],
        "tailnet_address": found["machines"]["apex"]["tailnet_ip"],
    }
    held = {"apex": ["gemma3:27b-it-qat", "gemma4:12b-it-qat"], "g16": ["gemma4:e4b-it-qat"]}
    hosts = {name: {"ansible_user": "desk", "models": models} for name, models in held.items()}
    (scratch / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": facts}}))
    (scratch / "ansible.cfg").write_text(
        "[defaults]\nhost_key_checking = True\ninterpreter_python = /usr/bin/python3\n"
        f"[ssh_connection]\npipelining = True\nssh_args = -F {found['ssh_config']} -o ControlMaster=auto "
        f"-o ControlPersist=60s -o ControlPath={scratch}/%C\n"
    )
    playbook = REPOSITORY / "tests/bench/playbook.yml"
    return [str(venv / "bin/ansible-playbook"), "-i", str(scratch / "hosts.json"), str(playbook)]


def make_bare(found: dict[str, Any]) -> None:
    """Throw the lab's machines away and have it make them anew."""
    for machine in found["machines"].values():
        subprocess.run(["docker", "rm", "--force", "--volumes", machine["container"]], check=True, capture_output=True)
    timed([sys.executable, "-m", "tests.lab", "up"], REPOSITORY, dict(os.environ))


def managed(found: dict[str, Any]) -> dict[str, int]:
    """How many resources each machine's manifest names."""
    counts = {}
    for name, machine in found["machines"].items():
        command = ["docker", "exec", machine["container"], "cat", "/var/lib/llm-harness/managed.json"]
        counts[name] = len(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    return counts


def main() -> None:
    found = lab()
    environment = {**os.environ, "SECRETS_FILE": f"{found['state']}/secrets.env"}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        counts = scratch / "execs.json"
        pyinfra = [sys.executable, "-m", "tests.bench.counted", str(counts), "-y", "tests/lab/inventory.py"]
        (scratch / "empty.py").write_text("")
        (scratch / "ansible").mkdir()
        playbook = ansible(found, scratch / "ansible")
        configured = {**environment, "ANSIBLE_CONFIG": str(scratch / "ansible/ansible.cfg")}
        both = [*pyinfra, "deploys/apex.py", "deploys/g16.py"]
        for command, settings in ((both, environment), (playbook, configured)):
            timed(command, REPOSITORY, settings)  # whatever is pending is done before the race
        floor, ours, theirs = [], [], []
        for _ in range(RUNS):  # taking turns, so that a busy moment hits all three
            floor.append(timed([*pyinfra, str(scratch / "empty.py")], REPOSITORY, environment))
            ours.append(timed(both, REPOSITORY, environment))
            execs = execs_of(counts)
            theirs.append(timed(playbook, REPOSITORY, configured))
        base = row("pyinfra's start and one connection a machine", floor)
        noop = row("no-op converge of both machines", ours, f"SSH execs: {execs}")
        other = row("the same by Ansible (pipelined, ControlPersist)", theirs)
        print(f"\n{other / noop:.1f} times faster than Ansible; {noop / base:.2f} times the floor\n", flush=True)

        make_bare(found)
        first = timed(both, REPOSITORY, environment)
        execs = execs_of(counts)
        row("first converge of two bare machines", [first], f"SSH execs: {execs}; resources: {managed(found)}")


if __name__ == "__main__":
    main()
