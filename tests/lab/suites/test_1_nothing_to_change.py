"""A converged lab: nothing to plan, nothing to change, everything verified, an answer over the tailnet."""

from __future__ import annotations

import json

from .conftest import Desk, Machine


def test_the_first_converge_succeeds(desk: Desk) -> None:
    assert desk.run("converge").code == 0


def test_a_second_converge_changes_nothing(desk: Desk) -> None:
    ran = desk.run("converge")
    assert ran.code == 0
    assert ran.unchanged("apex")
    assert ran.unchanged("g16")


def test_plan_says_nothing_and_exits_0(desk: Desk) -> None:
    ran = desk.run("plan")
    assert (ran.code, ran.changes()) == (0, [])


def test_verify_is_green(desk: Desk) -> None:
    ran = desk.run("verify")
    assert ran.code == 0, ran.out


def test_g16_gets_an_answer_from_apex_over_the_tailnet(desk: Desk, lab: dict[str, dict[str, dict[str, str]]]) -> None:
    ran = desk.run("ssh", "HOST=g16", "CMD=brain What runs here?")
    assert ran.code == 0
    assert lab["models"]["gemma3:27b-it-qat"]["says"] in ran.out


def test_the_machine_tells_who_converged_it(apex: Machine) -> None:
    left = json.loads(apex.sh_at("cat {}/provenance.json", "agent"))
    assert set(left) == {"commit", "when", "by", "desk"}
    assert left["commit"] != "unknown"


def test_status_shows_both_machines(desk: Desk) -> None:
    ran = desk.run("status")
    assert ran.code == 0
    assert "apex" in ran.out
    assert "g16" in ran.out


def test_a_machine_without_a_gpu_says_so_and_goes_on(desk: Desk) -> None:
    assert "has no NVIDIA GPU" in desk.run("plan").out


def test_pyinfra_alone_works_as_plainly(desk: Desk, lab: dict[str, str]) -> None:
    import subprocess

    done = subprocess.run(
        [".venv/bin/pyinfra", "-y", "tests/lab/inventory.py", "deploys/g16.py", "--limit", "g16"],
        cwd=desk.checkout,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**__import__("os").environ, "SECRETS_FILE": f"{lab['state']}/secrets.env"},
    )
    assert done.returncode == 0, done.stderr
    results = [line.split() for line in done.stderr.splitlines() if line.strip().startswith("[g16]")]
    assert ["[g16]", "No", "changes"] in results
    assert ["[g16]", "Success"] not in results
