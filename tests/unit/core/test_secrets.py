"""Where values of secrets come from, in which order, and that no sentence ever shows one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploys.facts import report, secrets
from deploys.schema import Nonsense, Secret

KEY = Secret("SOME_API_KEY")
Write = Callable[[str], Path]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No value of the tester's own, nothing remembered from another test."""
    for name in ("SECRETS_COMMAND", KEY.name):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SECRETS_FILE", str(tmp_path / "secrets.env"))
    monkeypatch.setattr(secrets, "_resolved", set())
    for cached in (secrets._from_file, secrets._from_command):
        cached.cache_clear()
    yield
    for cached in (secrets._from_file, secrets._from_command):
        cached.cache_clear()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "secrets.env"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = tmp_path / "a vault"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("SECRETS_COMMAND", f"'{program}' show")


def test_environment_then_file_then_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    assert secrets.value_of(KEY) is None
    secrets._from_file.cache_clear()
    secrets._from_command.cache_clear()
    command(tmp_path, monkeypatch, 'echo "from-$1-$2"')
    assert secrets.value_of(KEY) == f"from-show-{KEY.name}"
    write(f"# a note\n\n {KEY.name} = from-file=with=equals \nEMPTY=\n")
    secrets._from_file.cache_clear()
    assert secrets.value_of(KEY) == "from-file=with=equals"
    monkeypatch.setenv(KEY.name, "from-environment")
    assert secrets.value_of(KEY) == "from-environment"
    monkeypatch.setenv(KEY.name, "")
    assert secrets.value_of(KEY) == "from-file=with=equals"


def test_empty_in_the_file_is_absent(write: Write) -> None:
    write(f"{KEY.name}=\n")
    assert secrets.value_of(KEY) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o610])
def test_file_that_others_can_use_is_refused(mode: int, tmp_path: Path, write: Write) -> None:
    path = write(f"{KEY.name}=sk-hidden\n")
    path.chmod(mode)
    with pytest.raises(Nonsense) as caught:
        secrets.value_of(KEY)
    assert str(caught.value) == f"{path} can be read by others (mode {mode:04o}): chmod 600 {path}"


def test_line_that_is_none_is_told_by_number_and_not_shown(write: Write) -> None:
    path = write(f"A=1\nsk-pasted-alone\n{KEY.name}=x\n")
    with pytest.raises(Nonsense) as caught:
        secrets.value_of(KEY)
    assert str(caught.value) == f"{path} line 2 is no NAME=value"


def test_missing_secret_names_itself_its_use_and_the_file(tmp_path: Path) -> None:
    with pytest.raises(Nonsense) as caught:
        secrets.required(KEY, "the free lane")
    wanted = (
        f"secret {KEY.name} is missing (the free lane): put {KEY.name}=... into {tmp_path / 'secrets.env'} (chmod 600)"
    )
    assert str(caught.value) == wanted


def test_required_gives_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY.name, "sk-here")
    assert secrets.required(KEY, "a test") == "sk-here"


def test_value_of_several_lines_is_refused_without_showing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path, monkeypatch, "printf 'sk-one\\nsk-two\\n'")
    with pytest.raises(Nonsense) as caught:
        secrets.value_of(KEY)
    assert "holds a line break" in str(caught.value)
    assert "sk-one" not in str(caught.value)


def test_command_that_knows_nothing_is_absence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path, monkeypatch, "echo half-of-it; exit 1")
    assert secrets.value_of(KEY) is None


def test_command_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS_COMMAND", "no-such-vault show")
    with pytest.raises(Nonsense, match="SECRETS_COMMAND 'no-such-vault show' cannot be run: No such file"):
        secrets.value_of(KEY)


def test_command_is_asked_once_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(tmp_path, monkeypatch, f'echo "$2" >> {tmp_path}/asked; echo value')
    for _ in range(3):
        assert secrets.value_of(KEY) == "value"
    assert (tmp_path / "asked").read_text() == f"{KEY.name}\n"


def test_masking_hides_what_the_file_holds_and_what_was_used(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    write("A=sk-in-file\nB=sk-in-file-longer\nSHORT=on\n")
    monkeypatch.setenv(KEY.name, "sk-in-environment")
    secrets.value_of(KEY)
    text = "sk-in-file-longer sk-in-file sk-in-environment on"
    assert report.masked(text) == "•••• •••• •••• on"


def test_masking_without_any_secret() -> None:
    assert report.masked("nothing to hide") == "nothing to hide"
