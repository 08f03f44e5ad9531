"""Templates: whatever is wrong with one is one sentence that names it."""

from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from deploys.operations import files
from deploys.schema import Nonsense


@pytest.fixture
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(files._templates, "loader", jinja2.FileSystemLoader(tmp_path))
    return tmp_path


WRONG = {
    "syntax": ("{% if %}", "templates/x.j2 line 1: Expected an expression, got 'end of statement block'"),
    "name": ("{{ nonsuch }}", "templates/x.j2: 'nonsuch' is undefined"),
    "attribute": ("{{ known.nonsuch }}", "templates/x.j2: 'str object' has no attribute 'nonsuch'"),
    "hidden value": ("KEY=*MASKED*", "templates/x.j2: a hidden value came out as *MASKED*: pass the value itself"),
    "other template": ("{% include 'y.j2' %}", "templates/y.j2 does not exist"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_template_is_one_sentence(name: str, templates: Path) -> None:
    text, sentence = WRONG[name]
    (templates / "x.j2").write_text(text)
    with pytest.raises(Nonsense) as caught:
        files.rendered("x.j2", known="text")
    assert str(caught.value) == sentence


def test_missing_template(templates: Path) -> None:
    with pytest.raises(Nonsense, match=r"templates/none\.j2 does not exist"):
        files.rendered("none.j2")


def test_last_line_break_stays_and_blocks_leave_no_blank_lines(templates: Path) -> None:
    (templates / "x.j2").write_text("a: {{ value }}\n  {% for each in [1, 2] %}\n- {{ each }}\n  {% endfor %}\n")
    assert files.rendered("x.j2", value='"<b>"') == 'a: "<b>"\n- 1\n- 2\n'
