"""`make verify` always ends: a machine, a neighbour or a program that hangs is named."""

from __future__ import annotations

import ast
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verify import desk, machine, neighbour
from tests.verify.desk import CannotStart, Expected
from tests.verify.machine import Road, Unreachable
from tests.verify.neighbour import Neighbour
from tests.verify.patience import TooLong
from tests.verify.windows import Windows

VERIFY = Path(__file__).parents[2] / "verify"
APEX = Expected("apex", frozenset({"windows"}), {})


@pytest.fixture
def hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make a program in the PATH that says two things and then hangs; its arguments are kept beside it."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\necho "$@" >> {path}.called\necho mark out one\necho mark out docker\nsleep 60\n')
        path.chmod(0o755)
        return path

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for module in (machine, desk, neighbour):
        for name in ("LOOK_S", "DESK_S", "CLOSE_S"):
            monkeypatch.setattr(module, name, 1, raising=False)
    return make


@pytest.fixture
def apex(tmp_path: Path) -> Windows:
    return Windows(APEX, Road(tmp_path / "ssh_config", tmp_path))


def test_a_command_that_hangs_is_named(hangs: Callable[[str], Path], apex: Windows) -> None:
    hangs("ssh")
    start = time.monotonic()
    with pytest.raises(Unreachable) as problem:
        apex.exec("whatever", "mark", within_s=1)
    assert time.monotonic() - start < 10
    wanted = "apex: its command for `docker` did not end within 1 s: see what it waits for, then verify again"
    assert str(problem.value) == wanted
    with pytest.raises(Unreachable, match=r"^apex: a command over SSH did not end within 1 s"):
        apex.exec("whatever", within_s=1)


def test_every_way_over_ssh_has_an_end(hangs: Callable[[str], Path], apex: Windows) -> None:
    hangs("ssh")
    with pytest.raises(TooLong):
        apex.road.hand(APEX, "curl -K -", "url = x")
    with pytest.raises(Unreachable, match=r"^apex: a command over SSH did not end"):
        apex._hand("curl -K -", "url = x")
    assert apex.road.knock(APEX) == ""
    apex.road.leave(APEX)


def test_no_commands_are_no_exec(hangs: Callable[[str], Path], apex: Windows) -> None:
    """ssh without a command is a login shell."""
    program = hangs("ssh")
    apex._run({})
    assert not Path(f"{program}.called").exists()


def test_what_ssh_is_called_with_is_what_testinfra_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ssh"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('\\0'.join(sys.argv[1:]), end='')\nsys.exit(3)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    command = """type "C:\\a b\\it's.txt"& echo %TEMP% $HOME"""
    done = Windows(APEX, Road(tmp_path / "a config", tmp_path)).exec(command)
    words = done.stdout.split("\0")
    assert (done.rc, words[-2:]) == (3, ["apex", command])
    assert words[words.index("-F") + 1] == str(tmp_path / "a config")
    assert f"ControlPath={tmp_path}/apex" in words


def test_a_neighbour_that_does_not_answer_is_troubled(hangs: Callable[[str], Path], tmp_path: Path) -> None:
    def asked(prefix: str) -> str:
        return Neighbour.knocking([], [], prefix).trouble

    assert asked(str(hangs("other-pc"))) == "no answer within 1 s"
    assert asked("no-such-program -x") == "no-such-program cannot be run: No such file or directory"
    greeting = tmp_path / "greets"
    greeting.write_text('#!/bin/sh\necho Welcome\nshift\nexec python3 "$@"\n')
    greeting.chmod(0o755)
    assert asked(str(greeting)) == ""
    greeting.write_text("#!/bin/sh\necho Welcome\n")
    assert asked(str(greeting)) == "its answer is none: Welcome"


def test_a_secrets_command_that_hangs_or_is_none(hangs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    desk.secret.cache_clear()
    monkeypatch.setenv("SECRETS_COMMAND", str(hangs("vault")))
    with pytest.raises(CannotStart, match=r"^SECRETS_COMMAND, asked for SOME_KEY, did not answer within 1 s$"):
        desk.secret("SOME_KEY")
    monkeypatch.setenv("SECRETS_COMMAND", "no-such-vault get")
    with pytest.raises(CannotStart, match=r"^SECRETS_COMMAND, asked for SOME_KEY, cannot be run: No such file"):
        desk.secret("SOME_KEY")


@pytest.mark.parametrize("path", sorted(VERIFY.glob("*.py")), ids=lambda path: path.stem)
def test_no_process_is_waited_for_without_an_end(path: Path) -> None:
    started = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("subprocess.")
    ]
    assert [ast.unparse(each) for each in started if "timeout" not in {word.arg for word in each.keywords}] == []
    assert {ast.unparse(each.func) for each in started} <= {"subprocess.run"}
