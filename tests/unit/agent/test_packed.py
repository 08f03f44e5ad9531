"""The agent as it travels: one file, run by whatever Python is there, one line in, one ASCII document out."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from deploys.facts import zipapp

from .support import MINE, ROOT, RUN, Packed, ensure, file_request, pythons, sha256


def test_same_sources_give_the_same_bytes_in_every_process() -> None:
    code = "from deploys.facts.zipapp import packed; import hashlib; print(hashlib.sha256(packed()).hexdigest())"
    prints = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC-{seed}"}
        run = [sys.executable, "-c", code]
        prints.add(subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)
    assert prints == {f"{sha256(zipapp.packed())}\n"}
    assert zipapp.file_name() == f"agent-{sha256(zipapp.packed())[:12]}.pyz"


def test_machine_has_a_python_to_try() -> None:
    assert pythons()


@pytest.mark.parametrize("version", sorted(pythons()))
def test_every_verb_under_every_python(version: str, tmp_path: Path) -> None:
    packed = Packed(tmp_path / "home", pythons()[version]).install()
    path = tmp_path / "größe ✓" / "a file"
    made = packed.do(file_request(path, "LANE=groq\n"))
    assert made == {"state": {"file": {str(path): {"sha256": sha256(b"LANE=groq\n"), "access": MINE}}}}
    seen = packed.ask("look", {"asked": [["directory", str(path.parent), {}]], "programs": ["sh", "no-such"]})
    assert seen["machine"]["python"] == version
    assert seen["machine"]["os"] == "linux"
    assert seen["machine"]["programs"] == {"sh": True, "no-such": False}
    assert seen["manifest"] == [["file", str(path)]]
    assert seen["provenance"] == {key: RUN[key] for key in ("commit", "when", "by", "desk")}
    assert seen["state"]["file"] == made["state"]["file"]
    assert seen["state"]["directory"][str(path.parent)] is not None
    assert packed.ask("read", {"id": str(path)}) == {"text": "LANE=groq\n"}
    job = packed.do({**file_request(path, "LANE=local\n"), "job": True, "wait_s": 20})
    assert job["state"]["file"][str(path)]["sha256"] == sha256(b"LANE=local\n")


def test_answer_is_alone_on_stdout_even_when_children_print(packed: Packed, tmp_path: Path) -> None:
    check = ["sh", "-c", "echo noise; echo noise >&2; cat {file}"]
    answer = packed.do(file_request(tmp_path / "a", "b\n", check=check))
    assert "state" in answer


def test_answer_is_ascii(packed: Packed, tmp_path: Path) -> None:
    path = tmp_path / "ü✓"
    _, out, _ = packed.raw("do", json.dumps(ensure(file_request(path, "ä"))).encode() + b"\n")
    assert out.isascii()
    assert str(path) in json.loads(out)["state"]["file"]


def test_strict_umask_closes_nothing_that_everyone_shall_read(packed: Packed, tmp_path: Path) -> None:
    path = tmp_path / "opt" / "deep" / "file"
    packed.ask("do", ensure(file_request(path, "x")), umask=0o077)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_loose_umask_opens_nothing_of_the_agents_own(packed: Packed, tmp_path: Path) -> None:
    packed.ask("do", ensure({**file_request(tmp_path / "f", "x"), "job": True, "wait_s": 20}), umask=0)
    notes = [each for each in packed.home.rglob("*") if each != packed.file]
    assert notes
    assert [each for each in notes if stat.S_IMODE(each.stat().st_mode) & 0o077] == []


FAILURES = {
    "no JSON": ("do", b'{"kind": "fi\n', "did not arrive whole"),
    "unknown job": ("wait", b'{"job": "cafe", "wait_s": 0, "run": RUN}', "knows none of that id"),
    "lost on the way": (
        "do",
        b'{"kind":"file","id":"/x","content":"aGk=","sha256":"00","verb":"ensure","run":RUN}',
        "whole",
    ),
    "a directory there": (
        "do",
        b'{"kind":"file","id":"/etc","content":"","sha256":"00","access":"everyone","verb":"ensure","run":RUN}',
        "a directory is there",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_expected_failure_is_one_sentence_and_exit_code_1(name: str, packed: Packed) -> None:
    verb, line, why = FAILURES[name]
    code, out, err = packed.raw(verb, line.replace(b"RUN", json.dumps(RUN).encode()).rstrip(b"\n") + b"\n")
    error = json.loads(out)["error"]
    assert code == 1
    assert set(error) == {"what", "why", "fix"}
    assert all(error.values())
    assert why in error["why"]
    assert err == b""


def test_look_without_a_request(packed: Packed) -> None:
    """A stdin that ends at once asks for what the manifest names."""
    with packed.start("look") as process:
        out, _ = process.communicate()
    assert json.loads(out)["manifest"] == []


def test_kind_that_cannot_be_looked_at_hides_no_other(packed: Packed, tmp_path: Path) -> None:
    """Without systemctl in sight (PATH holds nothing) a service is unknown; files are still seen."""
    asked = [["service", "ssh", {}], ["file", "/etc/hostname", {}]]
    seen = packed.ask("look", {"asked": asked}, env={"PATH": str(tmp_path)})
    assert seen["state"]["file"]["/etc/hostname"]["sha256"]
    assert seen["state"]["service"]["ssh"]["unknown"]["why"] == "there is no systemctl on this machine"


def test_kinds_of_a_younger_agent_stay_in_the_manifest(packed: Packed, tmp_path: Path) -> None:
    entries = [{"kind": "task", "id": "boot"}, {"kind": "file", "id": "/etc/hostname"}]
    (packed.home / "managed.json").write_text(json.dumps(entries))
    assert packed.ask("look", {})["manifest"] == [["file", "/etc/hostname"]]
    packed.do(file_request(tmp_path / "new", "x"))
    assert json.loads((packed.home / "managed.json").read_text())[0] == entries[0]
