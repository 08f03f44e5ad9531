"""What a converge of a Windows Apex takes, and what can be read there in the middle of it.

Why nobody else can read a secret, not even for a moment: the order of steps. A request leaves the desk on stdin, or,
when it is large, as a file in the agent's home, which was closed to others before anything was put there. The agent
makes a new file that is empty, gives it to administrators alone, only then writes the content, then lets in who else
shall read it, and at last gives it its name: the one rename before which nobody looks for it there.
"""

from __future__ import annotations

import re
import subprocess

from .conftest import Desk, Machine
from .test_6_secrets import DOCKERS_USER, PLANTED, planted
from .windowsfaults import KEYS, bare, only_on_windows

__all__ = ["only_on_windows", "planted"]

# Runs on the machine: reads every small file of C: that is younger than a second, again and again.
SEEK = """
import json, os, socket, sys, time
root, sought = sys.argv[1], sys.argv[2].encode()
looks, since = 0, time.time()
with socket.socket(socket.AF_UNIX) as door:
    door.connect("/run/windows-control")
    stream = door.makefile("rwb")
    print("looking", flush=True)
    while not os.path.exists("/tmp/sought-enough"):
        looks += 1
        for folder, folders, names in os.walk(root):
            folders[:] = [each for each in folders if each not in ("Windows", "models", "Ollama", "Docker")]
            for name in names:
                path = os.path.join(folder, name)
                try:
                    about = os.stat(path)
                    if about.st_ctime < since or about.st_size > 1 << 20 or sought not in open(path, "rb").read():
                        continue
                except OSError:
                    continue
                there = "C:" + path[len(root):].replace("/", chr(92))
                stream.write(json.dumps({"verb": "found", "path": there}).encode() + b"\\n")
                stream.flush()
                stream.readline()
        time.sleep(0.003)
print(looks)
"""


def test_one_exec_for_nothing_to_change(desk: Desk, apex: Machine) -> None:
    """Counted by the machine: the shells that sshd started, and the files that it was asked for."""
    desk.run("converge", "HOST=apex")
    apex.control("forget")
    ran = desk.run("converge", "HOST=apex")
    assert ran.unchanged("apex")
    shells = [each for each in apex.control("started") if each[0].lower().endswith("cmd.exe") and each[1] == "/c"]
    assert len(shells) == 1, shells
    assert apex.control("transferred") == []


def test_a_planted_secret_at_every_moment(copy: Desk, apex: Machine, planted: str) -> None:
    """In the middle of a converge that brings it, and of one that also brings the agent."""
    bare(apex, python_too=False)
    apex.sh("rm -f /tmp/sought-enough")
    apex.control("forget")
    apex.control("seek", text=PLANTED)
    command = ["docker", "exec", apex.container, "python3", "-c", SEEK, apex.drive, PLANTED]
    looker = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert looker.stdout is not None
    try:
        assert looker.stdout.readline() == "looking\n"
        ran = copy.run("converge", "HOST=apex", SECRETS_FILE=planted)
    finally:
        apex.sh("touch /tmp/sought-enough")
    looks = int(looker.communicate(timeout=30)[0])
    found = apex.control("found", path=KEYS)
    for verb in ("started", "transferred", "tasks", "registry"):
        assert PLANTED not in str(apex.control(verb)), f"it is in what `{verb}` tells"
    apex.control("seek", text="")
    print(f"{looks} looks; it was seen in:")
    for path, every in found.items():
        print(f"  {path}: {every}")
    assert ran.code == 0
    assert looks > 100
    assert KEYS in found, "it is nowhere at all: the test would see nothing"
    assert any(".new-" in path for path in found), "nobody saw it on its way: the test would see nothing"
    for path, every in found.items():
        for sddl in every:
            may = set(re.findall(r"\(A;[^;]*;[^;]*;[^;]*;[^;]*;([^)]+)\)", sddl)) - {"SY", "BA"}
            assert may <= (DOCKERS_USER if path.startswith(r"C:\litellm") else set()), f"{path} was open to {may}"
