"""Secret values as keyed fingerprints: comparable within one run, worth nothing after it."""

from __future__ import annotations

import hashlib
import hmac


def fingerprinted(text: str, nonce: str) -> list[str]:
    """Each `NAME=value` line with its value as a keyed hash, any other line as `#`.

    The agent has the same few lines: it shares no code with the desk, and both sides must agree.
    """
    lines = []
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        mark = hmac.new(nonce.encode(), value.encode(), hashlib.sha256).hexdigest()[:12]
        lines.append(f"{name}={mark}\n" if equals else "#\n")
    return lines
