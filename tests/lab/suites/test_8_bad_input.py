"""Nonsense in the data, and machines that are not as they should be: one sentence, exit 1, nothing changed there."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .conftest import Desk, Machine, until


class Nonsense(NamedTuple):
    """An edit of the data, the words that the one sentence must hold, and whether the other machine goes on."""

    path: str
    old: str
    new: str
    words: list[str]
    others_go_on: bool


APEX, G16 = "group_data/apex.py", "group_data/g16.py"
NONSENSE = {
    "unknown field": Nonsense(G16, "size_gb=6.1,", "size=6.1,", ["unknown field 'size'", "size_gb"], False),
    "wrong type": Nonsense(G16, "size_gb=6.1,", 'size_gb="big",', ["size_gb", "'big'", "wrong type"], False),
    "negative size": Nonsense(G16, "vram_gb=4.6,", "vram_gb=-4.6,", ["vram_gb", "-4.6", "negative"], False),
    "a route to nowhere": Nonsense(
        APEX, 'Route("default", ["local", *CLOUD])', 'Route("default", ["locol"])', ["'default'", "'locol'"], True
    ),
    "a private route that leaves": Nonsense(
        APEX, 'Route("private", ["local"]', 'Route("private", ["local", "groq"]', ["'private'", "'groq'"], True
    ),
    "premium in a cascade": Nonsense(
        APEX, 'Route("default", ["local", *CLOUD])', 'Route("default", ["local", "anthropic"])', ["premium"], True
    ),
    "a model too big": Nonsense(APEX, "vram_gb=21,", "vram_gb=31,", ["gemma3:27b-it-qat", "31 GB", "23 GB"], True),
    "a port taken twice": Nonsense(APEX, "    port=4000,", "    port=11434,", ["11434", "gateway", "ollama"], True),
}


@pytest.mark.parametrize("what", NONSENSE)
def test_nonsense_is_one_sentence(what: str, copy: Desk, machines: dict[str, Machine]) -> None:
    case = NONSENSE[what]
    before = {name: machine.sh_at("cat {}", "manifest") for name, machine in machines.items()}
    copy.edit(case.path, case.old, case.new)
    for command in ("plan", "converge"):
        ran = copy.run(command)
        assert ran.code == 1
        assert "Traceback" not in ran.out
        told = [line for line in ran.out.splitlines() if all(word in line for word in case.words)]
        assert told, f"no line says all of {case.words}"
    if case.others_go_on:
        assert ran.unchanged("g16")
    after = {name: machine.sh_at("cat {}", "manifest") for name, machine in machines.items()}
    assert after == before


def test_a_missing_secret_names_it_and_where_it_goes(copy: Desk) -> None:
    secrets = copy.checkout / "none.env"
    secrets.touch(mode=0o600)
    ran = copy.run("converge", SECRETS_FILE=str(secrets))
    assert ran.code == 1
    assert "LITELLM_MASTER_KEY" in ran.out
    assert "chmod 600" in ran.out


def test_a_secrets_file_that_others_can_read_is_refused(copy: Desk) -> None:
    secrets = copy.checkout / "open.env"
    secrets.write_text("LITELLM_MASTER_KEY=sk-whatever\n")
    secrets.chmod(0o644)
    ran = copy.run("plan", SECRETS_FILE=str(secrets))
    assert ran.code == 1
    assert "can be read by others" in ran.out
    assert "Traceback" not in ran.out


def test_no_python_there(copy: Desk, g16: Machine) -> None:
    g16.sh("mv /usr/bin/python3 /usr/bin/python3.away")
    try:
        ran = copy.run("converge")
    finally:
        g16.sh("mv /usr/bin/python3.away /usr/bin/python3")
    assert ran.code == 1
    assert ran.unchanged("apex")
    line = next(line for line in ran.out.splitlines() if "g16" in line and "Python 3.9" in line)
    assert "install" in line


def test_a_wrong_sha256_installs_nothing(copy: Desk, g16: Machine) -> None:
    before = g16.sh("ls /opt/ollama")
    copy.edit(
        "tests/lab/group_data/linux.py",
        'Release(**_lab["ollama"])',
        'Release(**{**_lab["ollama"], "version": "9.9.9", "sha256": "0" * 64})',
    )
    ran = copy.run("converge", "HOST=g16")
    assert ran.code == 1
    assert "its sha256 is" in ran.out
    assert "0" * 64 in ran.out
    assert g16.sh("ls /opt/ollama") == before
    assert "true" in g16.sh("curl -sf http://127.0.0.1:11434/api/version >/dev/null && echo true")


def test_a_moved_tag_keeps_the_model_that_is_held(copy: Desk, g16: Machine) -> None:
    held = g16.sh("curl -sf http://127.0.0.1:11434/api/tags | jq -r '.models[].digest'")
    copy.edit("tests/lab/group_data/g16.py", 'digest=_lab["models"][each.tag]["digest"]', 'digest="ab" * 32')
    ran = copy.run("converge", "HOST=g16")
    assert ran.code == 1
    assert "the tag has moved" in ran.out
    assert "abababababab" in ran.out
    assert g16.sh("curl -sf http://127.0.0.1:11434/api/tags | jq -r '.models[].digest'") == held


@pytest.mark.parametrize("name", ["g16", "apex"])
def test_somebody_else_in_the_engines_place(name: str, desk: Desk, machines: dict[str, Machine]) -> None:
    """What answers there is not ours: a converge that took it for ours would say that all is well."""
    machine = machines[name]
    if machine.windows:
        machine.control("task", name=r"\llm-harness\ollama", do="end")
    else:
        machine.sh("systemctl stop ollama")
    other = "python3 -m http.server 11434 --bind 127.0.0.1"
    machine.sh(f"setsid -f {other} >/dev/null 2>&1")
    try:
        until(lambda: machine.sh("ss -Hltn 'src 127.0.0.1:11434'"))
        ran = desk.run("converge", f"HOST={name}")
    finally:
        machine.sh(f"pkill -f '^{other}'")
    assert ran.code == 1
    (line,) = {line for line in ran.out.splitlines() if line.startswith(f"{name}: could not start ollama: ")}
    assert "which is none of its own, listens at 127.0.0.1:11434. Fix: end it there" in line
    assert desk.run("converge", f"HOST={name}").code == 0
    assert desk.run("plan", f"HOST={name}").code == 0
