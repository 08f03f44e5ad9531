"""Dotted versions, compared by their numbers."""

from __future__ import annotations

import re


def older(one: str, other: str) -> bool:
    """Whether version `one` came before `other`. "1.98.10" is younger than "1.98.9"."""
    return _numbers(one) < _numbers(other)


def _numbers(version: str) -> list[int]:
    return [int(each) for each in re.findall(r"\d+", version)]
