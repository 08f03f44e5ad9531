"""Every sentence of the lists is a test of the stand-ins or is named in LEFT_OUT.md with its reason."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from .must import SENTENCES, tested

HERE = Path(__file__).parent


def left_out() -> set[str]:
    return set(re.findall(r"^- `(\w+ \d+)`", (HERE / "LEFT_OUT.md").read_text(encoding="utf-8"), re.M))


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are for Linux")
def test_every_sentence_is_tested_or_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    for path in HERE.glob("test_standin_*.py"):
        importlib.import_module(f"{__package__}.{path.stem}")
    every = {f"{name} {number}" for name, count in SENTENCES.items() for number in range(1, count + 1)}
    assert set(tested) | left_out() == every
    assert not set(tested) & left_out()
    with capsys.disabled():
        print(f"\n{len(tested)} of {len(every)} sentences are tests, {len(left_out())} are left out")
