"""Seconds by part."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class Stopwatch:
    """Times named parts in the order they come."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            self.parts[name] = time.monotonic() - start

    def table(self, within: Mapping[str, Mapping[str, float]] | None = None) -> str:
        """One line a part and the sum. `within`: {part: {smaller part: seconds}}."""
        rows = []
        for name, seconds in self.parts.items():
            rows.append(f"  {name:<28} {spoken(seconds):>12}")
            rows += [f"    {part:<26} {spoken(each):>12}" for part, each in (within or {}).get(name, {}).items()]
        return "\n".join([*rows, f"  {'in all':<28} {spoken(sum(self.parts.values())):>12}"])


def spoken(seconds: float) -> str:
    """`4.2 s`, `3 min 07 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"
