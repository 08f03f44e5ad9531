"""What the workflows call is what the Makefile hears and what the tree holds."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CHOICE = re.compile(r"\$\{\{ matrix\.apex \}\}")
LONGEST_MINUTES = 360  # GitHub ends a job of its own runners after that


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every job of every workflow, with a name to show."""
    for path in WORKFLOWS:
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            yield f"{path.stem}-{name}", job


def make_lines(job: dict[str, Any]) -> list[str]:
    """Its calls of make, each from `make` on."""
    lines = [line for step in job["steps"] for line in step.get("run", "").splitlines()]
    return [found[0] for line in lines if (found := re.search(r"\bmake .*", line))]


def choices(job: dict[str, Any]) -> list[str]:
    return [each["apex"] for each in job.get("strategy", {}).get("matrix", {}).get("include", []) if "apex" in each]


ALL = dict(jobs())


@pytest.mark.parametrize("name", [name for name, job in ALL.items() if choices(job)])
def test_each_kind_of_apex_reaches_the_lab(name: str) -> None:
    """By make itself, which only shows what it would run: an APEX of the environment does not count there."""
    for kind in choices(ALL[name]):
        called = [CHOICE.sub(kind, line) for line in make_lines(ALL[name])]
        labs = [line for line in called if re.search(r"make (lab|test-lab)( |$)", line)]
        assert len(labs) == 2
        for line in labs:
            echo = f"--eval=$(info apex-is=$(APEX) {line.split()[1]})"
            shown = subprocess.run([*line.split(), "-n", echo], cwd=ROOT, capture_output=True, text=True, check=True)
            assert f"apex-is={kind} " in shown.stdout, f"{line}: the lab would not hear of {kind}"


@pytest.mark.parametrize("name", [name for name, job in ALL.items() if make_lines(job)])
def test_every_goal_is_in_the_makefile(name: str) -> None:
    goals = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {line.split()[1] for line in make_lines(ALL[name])} <= goals


@pytest.mark.parametrize("name", ALL)
def test_every_job_has_an_end(name: str) -> None:
    """Its own limit, also when each kind of Apex has another."""
    limit = ALL[name]["timeout-minutes"]
    by_kind = ALL[name].get("strategy", {}).get("matrix", {}).get("include", [])
    found = [limit] if isinstance(limit, int) else [each["minutes"] for each in by_kind]
    assert found
    assert all(0 < each < LONGEST_MINUTES for each in found)


def test_line_ends_are_the_same_in_every_checkout() -> None:
    """Bare line feeds, but for what cmd.exe reads; nothing in git waits to be changed to that."""
    asked = ["git", "check-attr", "text", "eol", "--", "Makefile", "scripts/bootstrap.cmd"]
    told = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[:3] == ["Makefile: text: auto", "Makefile: eol: lf", "scripts/bootstrap.cmd: text: unset"]
    kept = subprocess.run(["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert {line.split("\t")[1] for line in kept.splitlines() if "crlf" in line.split()[0]} == {"scripts/bootstrap.cmd"}
