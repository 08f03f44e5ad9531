"""Which sentence of the lists "what a stand-in must do" a test is. `test_counted.py` adds them up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

# how many sentences each list has: windows-tasks 6, windows-ssh-python 8, windows-system 1 to 6
SENTENCES = {
    "tasks": 25,
    "ssh": 25,
    "firewall": 7,
    "files": 8,
    "registry": 6,
    "services": 6,
    "processes": 5,
    "others": 6,
}
tested: dict[str, list[str]] = {}


def must(*sentences: str) -> Callable[[Test], Test]:
    """Mark a test as that of sentences such as "tasks 3"."""

    def mark(test: Test) -> Test:
        for sentence in sentences:
            tested.setdefault(sentence, []).append(test.__name__)
        return test

    return mark
