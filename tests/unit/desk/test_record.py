"""record: a program that does not end costs one line of the README, not the README."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from scripts.desk import record, recordings, road
from scripts.desk.desk import Trouble

MACHINE: dict[str, Any] = {"name": "apex", "groups": ["windows"], "data": {"ssh_key": "/keys/ssh", "ssh_port": 2222}}


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ssh and sftp that say something and hang."""
    for name in ("ssh", "sftp"):
        fake = tmp_path / name
        fake.write_text(f"#!/bin/sh\necho 'half of {name}'\nexec sleep 60\n")
        fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for module, name in ((record, "SFTP_S"), (record, "QUIET_S"), (recordings, "TIMEOUT_S")):
        monkeypatch.setattr(module, name, 0.3)


def test_sftp_that_hangs_is_a_line_of_its_own(hanging: None, tmp_path: Path) -> None:
    book = record.Book(tmp_path, MACHINE)
    record._sftp(book, "sftp-make", ["mkdir /x"], "a folder")
    book.close(["# apex"])
    assert (tmp_path / "01-sftp-make.out").read_bytes() == b"half of sftp\n"
    assert "| 01-sftp-make | `mkdir /x` | no end in time | 13, 0 |" in (tmp_path / "README.md").read_text()


def test_a_banner_that_does_not_come_and_an_exec_that_hangs(hanging: None) -> None:
    start = time.monotonic()
    told = record.head(MACHINE, record.timed("Microsoft Windows [Version 10.0.26100.1]", 0))
    assert told[2:4] == ["- Windows: 10.0.26100.1", "- sshd: says no version"]
    assert record._quiet(["ssh"], b"") == "no end within 0.3 s"
    assert time.monotonic() - start < 10


def test_a_recording_that_is_broken_off_has_its_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(book: record.Book) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "exec_once", lambda *_: record.timed("x", 0))
    monkeypatch.setattr(record, "head", lambda *_: ["# apex"])
    monkeypatch.setattr(record, "several_at_once", broken)
    with pytest.raises(KeyboardInterrupt):
        record.recorded(MACHINE, tmp_path)
    (readme,) = tmp_path.glob("apex-*/README.md")
    assert f"-{recordings.ENDS[-1].name} |" in readme.read_text()


def test_sftp_goes_the_road_of_ssh(monkeypatch: pytest.MonkeyPatch) -> None:
    ssh, sftp = (road.command(MACHINE, record.BATCH, program) for program in ("ssh", "sftp"))
    assert (ssh[0], sftp[0]) == ("ssh", "sftp")
    assert ssh[1:] == sftp[1:]
    assert "-T" in record.NO_TERMINAL
    assert "-T" not in sftp
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Trouble, match=r"^there is no sftp here: install openssh-client"):
        road.command(MACHINE, (), "sftp")
