"""A machine thrown away comes back from nothing, by the same three commands."""

from __future__ import annotations

import subprocess
import sys

from .conftest import Desk, Machine


def test_apex_from_nothing(desk: Desk, apex: Machine) -> None:
    subprocess.run(["docker", "rm", "--force", "--volumes", apex.container], check=True, capture_output=True)
    up = subprocess.run([sys.executable, "-m", "tests.lab", "up"], cwd=desk.checkout, stdin=subprocess.DEVNULL)
    assert up.returncode == 0
    assert apex.sh_at("ls -d {} {}", "agent", "ollama", check=False) == "", "it is bare"
    assert desk.run("converge").code == 0
    assert desk.run("plan").code == 0
    verify = desk.run("verify")
    assert verify.code == 0, verify.out
