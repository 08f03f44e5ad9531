"""What a person reads when a command fails, and files that only their owner reads."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.images import pip_settings
from tests.lab.shell import Trouble, run, succeeds, write_private


def test_a_failure_says_what_and_why_on_one_line() -> None:
    with pytest.raises(Trouble) as trouble:
        run(["sh", "-c", "echo one >&2; echo two >&2; exit 3"], trouble="the thing failed")
    assert str(trouble.value) == "the thing failed: one | two"


def test_a_missing_program_is_named() -> None:
    with pytest.raises(Trouble, match="no-such-program is not on this computer"):
        run(["no-such-program"])
    assert not succeeds(["no-such-program"])


def test_what_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    with pytest.raises(Trouble, match="no end after"):
        run(["sh", "-c", f"sh -c 'sleep 0.6; touch {tmp_path}/late' & wait"], timeout_s=0.1)
    # the grandchild held this lock on life: give it the time it would have needed
    assert not succeeds(["sh", "-c", f"sleep 0.8; test -e {tmp_path}/late"])


def test_when_one_part_fails_the_others_end_and_none_begins() -> None:
    program = (
        "import threading, time\n"
        "from tests.lab import shell\n"
        "def part():\n"
        "    try: shell.run(['sleep', '60'])\n"
        "    except shell.Trouble as trouble: print('ended')\n"
        "thread = threading.Thread(target=part); thread.start(); time.sleep(0.2)\n"
        "shell.stop_children(); thread.join(5)\n"
        "try: shell.run(['true'])\n"
        "except shell.Trouble as trouble: print(trouble)\n"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=20)
    assert done.stdout.splitlines() == ["ended", "true was not started: another part has failed"]


def test_a_private_file_is_private_even_over_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_pip_in_a_container_hears_what_pip_was_told_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".pip").mkdir()
    (tmp_path / ".pip" / "pip.conf").write_text("[global]\nindex-url = https://one.example/%20simple\ntimeout = 7\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIP_INDEX_URL", "https://two.example/simple")
    monkeypatch.delenv("PIP_TIMEOUT", raising=False)
    told = pip_settings()
    assert told["PIP_INDEX_URL"] == "https://two.example/simple", "the environment wins, as with pip itself"
    assert told["PIP_TIMEOUT"] == "7"
