"""A systemd unit and its neutral description are two forms of one thing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deploys.agent.errors import Refused
from deploys.agent.posix.units import parse_unit, render_unit

printable = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=12)
tricky = st.text(alphabet="%$\\\"' =;#@-a1/{}~`!|&<>", max_size=12)
words = printable | tricky
keys = st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True)
specs = st.fixed_dictionaries(
    {
        "description": st.from_regex(r"[\w%$]([\w %$.,'\"]*[\w.])?", fullmatch=True).filter(str.isprintable),
        "account": st.sampled_from(["own", "system"]),
        "state": st.sampled_from(["", "/var/lib/ollama"]),
        "environment": st.dictionaries(keys, words, max_size=4),
        "command": st.lists(words, min_size=1, max_size=4),
    }
)
SPEC: dict[str, Any] = {
    "description": "Ollama, 100% private",
    "account": "own",
    "state": "/var/lib/ollama",
    "environment": {"HOME": "/var/lib/ollama", "NOTE": 'a "b" $HOME 50%'},
    "command": ["/opt/ollama/1.0/bin/ollama", "serve", "--price=$5", "--load=90%"],
}


@given(specs)
@example({**SPEC, "environment": {"A": "$$ %% \\ \\\\ ' \" "}, "command": ["/x", "$$", "%%", "\\", "'", '"', "", " "]})
def test_what_is_rendered_reads_back(spec: dict[str, Any]) -> None:
    assert parse_unit(render_unit(spec)) == spec


def test_what_systemd_reads() -> None:
    """`%%` is a percent sign everywhere; `$` means itself in Environment=, and only doubled in ExecStart=."""
    lines = render_unit(SPEC).splitlines()
    assert "Description=Ollama, 100%% private" in lines
    assert 'Environment="NOTE=a \\"b\\" $HOME 50%%"' in lines
    assert "Environment=HOME=/var/lib/ollama" in lines
    assert "ExecStart=/opt/ollama/1.0/bin/ollama serve --price=$$5 --load=90%%" in lines
    assert "DynamicUser=yes" in lines
    assert "StateDirectory=ollama" in lines
    assert "WantedBy=multi-user.target" in lines


def test_secrets_come_on_its_standard_input() -> None:
    spec = {**SPEC, "secrets": "/opt/100%/gateway.env"}
    text = render_unit(spec)
    assert "StandardInput=file:/opt/100%%/gateway.env" in text.splitlines()
    assert parse_unit(text) == spec
    assert "StandardInput" not in render_unit(SPEC)


def test_root_without_state() -> None:
    text = render_unit({**SPEC, "account": "system", "state": ""})
    assert "DynamicUser" not in text
    assert "StateDirectory" not in text


EDITS = {
    "a setting changed": (r"RestartSec=2", "RestartSec=20"),
    "a setting added": (r"\[Install\]", "Nice=5\n\n[Install]"),
    "a comment": (r"^", "# mine\n"),
    "two settings on a line": (r"Environment=HOME=\S+", "Environment=HOME=/x OTHER=1"),
    "an empty setting": (r"Environment=HOME=\S+", "Environment="),
    "quotes left open": (r"ExecStart=.*", 'ExecStart="/x'),
    "a second command": (r"(ExecStart=.*)", r"\1\nExecStart=/bin/true"),
    "blank at a line's end": (r"Restart=always", "Restart=always "),
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_unit_no_longer_renders_to_its_own_text(name: str) -> None:
    text = re.sub(*EDITS[name], render_unit(SPEC), count=1)
    spec = parse_unit(text)
    assert spec is None or render_unit(spec) != text


@pytest.mark.parametrize("text", ["", "[Service]\nExecStart=/x\n", "Description=x\n", "\0\0"])
def test_unit_of_somebody_else_is_none_of_ours(text: str) -> None:
    assert parse_unit(text) is None


@pytest.mark.parametrize("bad", ["a\nExecStartPre=/evil", "tab\there", "\x00", "\u2028"])
@pytest.mark.parametrize("where", ["description", "environment", "command"])
def test_line_breaks_and_control_characters_are_refused(bad: str, where: str) -> None:
    value: Any = {"description": bad, "environment": {"A": bad}, "command": ["/x", bad]}[where]
    with pytest.raises(Refused, match="control character"):
        render_unit({**SPEC, where: value, "name": "ollama"})


def test_state_outside_its_place_is_refused() -> None:
    with pytest.raises(Refused, match="not under /var/lib"):
        render_unit({**SPEC, "state": "/srv/x", "name": "ollama"})
