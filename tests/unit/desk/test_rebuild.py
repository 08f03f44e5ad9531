"""rebuild: who does not let this desk in is told what to run; the time of a converge by role."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from scripts.desk import rebuild
from scripts.desk.converge import Run
from scripts.desk.desk import Trouble
from scripts.desk.pyinfra import report_file
from scripts.desk.stopwatch import Stopwatch

from .conftest import CONNECTED, step


@pytest.mark.parametrize(("group", "script"), [("windows", r"bootstrap\.cmd"), ("linux", r"bootstrap\.sh")])
def test_who_refuses_the_key_is_told_its_own_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, script: str
) -> None:
    """The words before ssh's own may be in any code page."""
    fake = tmp_path / "ssh"
    fake.write_bytes(
        b"#!/bin/sh\nprintf 'gesch\\201tzt\\nowner@apex: Permission denied (publickey).\\n' >&2\nexit 255\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    machine = {"name": "apex", "groups": [group], "data": {}}
    with pytest.raises(Trouble, match=rf"^apex answers but .*Permission denied.*: run scripts/{script} there"):
        rebuild.wait_for_ssh(machine, 1)


def test_a_machine_that_hangs_after_the_login_is_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It restarts: the connection stands still, and counts as no answer yet."""
    fake = tmp_path / "ssh"
    fake.write_text("#!/bin/sh\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(rebuild, "ONCE_S", 0.2)
    start = time.monotonic()
    with pytest.raises(Trouble, match=r"^apex did not answer within 0.* \(no end within 0\.2 s\): see that it is on"):
        rebuild.wait_for_ssh({"name": "apex", "groups": ["linux"], "data": {}}, 0)
    assert time.monotonic() - start < 10


def test_time_by_role() -> None:
    with report_file() as report:
        run = Run(report)
        lines = [*step("Ollama | Put it", apex="Success"), *step("Ollama | Run it", apex="Success")]
        early = "    [apex] is being looked at"
        for line in [*CONNECTED, early, *lines, *step("Gateway | Start", apex="No changes")]:
            run.hear(f"{line}\n")
        assert list(run.parts) == ["connect and look", "Ollama", "Gateway"]
        assert all(each >= 0 for each in run.parts.values())
    watch = Stopwatch()
    watch.parts["converge"] = 2.0
    assert [line.split()[0] for line in watch.table({"converge": run.parts}).splitlines()] == [
        *("converge", "connect", "Ollama", "Gateway", "in")
    ]
