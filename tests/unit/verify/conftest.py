"""The marks of tests/verify, whose tests are called here as they stand."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "each(name, things): once for each of the things in a machine's data")
