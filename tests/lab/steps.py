"""Says what is being done, how long it took, and that it is still alive where it takes long."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

HINT_EVERY_S = 20.0


class Steps:
    """Steps may run side by side; each line is printed whole. `parts` sums seconds by part of the lab."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.parts: dict[str, float] = defaultdict(float)
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    @contextmanager
    def step(self, part: str, what: str, usually: str = "") -> Iterator[None]:
        """Time one step; while it lasts, a line now and then. `usually`: how long it tends to take, for that line."""
        start, over = time.monotonic(), threading.Event()
        threading.Thread(target=self._hint, args=(what, usually, start, over), daemon=True).start()
        try:
            yield
        finally:
            over.set()
            took_s = time.monotonic() - start
            with self._lock:
                self.parts[part] += took_s
            ending = "" if sys.exc_info()[0] is None else "  (failed)"
            self.say(f"{what}: {took_s:.1f} s{ending}")

    def _hint(self, what: str, usually: str, start: float, over: threading.Event) -> None:
        while not over.wait(HINT_EVERY_S):
            expectation = f"; usually {usually}" if usually else ""
            self.say(f"  still: {what} ({time.monotonic() - start:.0f} s{expectation})")

    def table(self) -> str:
        """Minutes by part. Parts overlap, so they add up to more than the whole."""
        whole_s = time.monotonic() - self.began
        rows = [*sorted(self.parts.items(), key=lambda item: -item[1]), ("whole, parts side by side", whole_s)]
        return "\n".join(f"  {part:<28}{took_s / 60:6.2f} min" for part, took_s in rows)
