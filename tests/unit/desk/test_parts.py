"""The smaller parts: secrets of the lab, the road to a machine, the questions of status, tracebacks as sentences."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from scripts.desk import lab, road, status
from scripts.desk.desk import secret_names
from scripts.desk.said import REASONS, sentence_of, unreachable

MACHINES = [
    {"name": "apex", "data": {"gateway": {"master_key": {"name": "LITELLM_MASTER_KEY"}, "port": 4000}}},
    {
        "name": "g16",
        "data": {"lanes": [{"name": "groq", "key": {"name": "GROQ_API_KEY"}}, {"name": "LOUD", "key": None}]},
    },
    {"name": "x", "data": {"hook": {"name": "SLACK_WEBHOOK_URL"}}},
]


def test_the_labs_secrets_are_made_once_and_for_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    lab.make_secrets(path, MACHINES[:1], {"slack": "http://clouds:9006"})
    before = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert before.startswith("LITELLM_MASTER_KEY=sk-")

    lab.make_secrets(path, MACHINES, {"slack": "http://clouds:9006"})
    assert path.read_text().startswith(before), "what is there stays"
    assert secret_names(path) == ["LITELLM_MASTER_KEY", "GROQ_API_KEY", "SLACK_WEBHOOK_URL"]
    assert "SLACK_WEBHOOK_URL=http://clouds:9006\n" in path.read_text()


def test_ssh_goes_the_way_that_pyinfra_goes(tmp_path: Path) -> None:
    """Asked of ssh itself: -G prints what it would do."""
    config = tmp_path / "ssh_config"
    config.write_text("Host apex\n  HostName 100.64.0.1\n  User nobody\n  ProxyCommand nc %h %p\n")
    key = tmp_path / "some_key"
    key.touch(mode=0o600)
    data = {
        "ssh_config_file": str(config),
        "ssh_user": "desk",
        "ssh_port": 2222,
        "ssh_key": str(key),
        "ssh_known_hosts_file": "/etc/known",
        "ssh_strict_host_key_checking": "yes",
    }
    line = road.command({"name": "apex", "data": data})
    said = subprocess.run([line[0], "-G", *line[1:]], capture_output=True, text=True, check=True).stdout.lower()
    for wanted in (
        "hostname 100.64.0.1",
        "user desk",
        "port 2222",
        "userknownhostsfile /etc/known",
        "stricthostkeychecking true",
        "identitiesonly yes",
        f"identityfile {key}".lower(),
        "proxycommand nc %h %p",
    ):
        assert wanted in said


def test_an_address_of_its_own_wins() -> None:
    assert road.command({"name": "apex", "data": {"ssh_hostname": "192.0.2.7"}})[-2:] == ["--", "192.0.2.7"]


def test_the_questions_are_a_shells_and_each_answer_finds_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Asked of a real shell in the place of ssh, with nothing running that could answer."""
    (tmp_path / "provenance.json").write_text(
        '{"commit": "2e113d1", "when": "2026-11-22T14:00:00+00:00", "by": "me", "desk": "g16"}'
    )
    data = {"agent": {"home": str(tmp_path)}, "ollama": {"port": 1}, "gateway": {"port": 1, "publish": "serve"}}
    machine = {"name": "apex", "groups": ["apex", "linux"], "data": data}
    monkeypatch.setattr(road, "command", lambda *_: ["sh", "-c"])
    answer = status.ask(machine)
    assert set(answer.texts) == {"converged", "version", "tags", "ps", "cards", "gateway"}
    assert "2e113d1" in answer.texts["converged"]
    assert status.tell(machine, answer) is False


def test_all_well(capsys: pytest.CaptureFixture[str]) -> None:
    texts = {
        "converged": '{"commit": "2e1", "when": "2026-11-22T14:00:00+00:00", "by": "me", "desk": "g16"}',
        "version": '{"version": "0.40.2"}',
        "tags": '{"models": [{"name": "gemma3:27b-it-qat"}]}',
        "ps": '{"models": [{"name": "gemma3:27b-it-qat", "size_vram": 21000000000}]}',
        "cards": "NVIDIA GeForce RTX 3090, 21504, 24576",
        "gateway": '"I\'m alive!"',
    }
    data = {"ollama": {"port": 1}, "gateway": {"port": 4000}}
    assert status.tell({"name": "apex", "groups": [], "data": data}, status.Answer(0.3, texts))
    told = capsys.readouterr().out
    assert "by me at g16, commit 2e1" in told
    assert "0.40.2; holds gemma3:27b-it-qat; in memory: gemma3:27b-it-qat (21.0 GB of VRAM)" in told
    assert "21.0 of 24.0 GB used on NVIDIA GeForce RTX 3090" in told
    assert "answers on port 4000" in told


def test_windows_is_asked_in_its_own_shell() -> None:
    data = {"agent": {"home": r"C:\ProgramData\ssh\llm-harness"}, "gateway": {"port": 4000}}
    line = status.questions({"name": "apex", "groups": ["windows"], "data": data})
    assert r"type C:\ProgramData\ssh\llm-harness\provenance.json 2>nul& echo.& echo @gateway& (for /f %i in" in line
    assert ";" not in line


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("SSH host key error (Host key for g16 does not match.)", 0),
        ("SSH error (StrictPolicy: No host key for g16 found in known_hosts)", 1),
        ("Authentication error (username=owner)", 2),
        ("Could not resolve hostname ([Errno -2] Name or service not known)", 3),
        ("Could not connect (timed out)", 4),
    ],
)
def test_each_way_to_be_unreachable_has_its_fix(said: str, number: int) -> None:
    told = unreachable("g16", said)
    assert told.startswith("g16: cannot be reached (")
    assert told.endswith(REASONS[number][1].format(machine="g16"))
    assert "Errno" not in told


def test_a_traceback_becomes_the_place_and_what_was_raised() -> None:
    lines = [
        'File "group_data/apex.py", line 0',
        "Traceback (most recent call last):",
        '  File "/venv/lib/python3.11/site-packages/pyinfra_cli/util.py", line 5, in exec_file',
        '  File "/home/me/harness/group_data/apex.py", line 12, in <module>',
        "    models = [Modle()]",
        "NameError: name 'Modle' is not defined",
    ]
    assert sentence_of(lines) == "/home/me/harness/group_data/apex.py line 12: NameError: name 'Modle' is not defined"
