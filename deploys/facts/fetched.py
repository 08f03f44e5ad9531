"""What the desk itself downloads for a machine: proven by its sha256, kept for the next one."""

from __future__ import annotations

import hashlib
import os
import secrets as randomness
import urllib.request
from pathlib import Path

from deploys.facts.channel import Unreachable
from deploys.schema import Release

SILENCE_S = 60


def fetched(release: Release) -> bytes:
    """The bytes of a release. Raises Unreachable in one sentence."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-harness"
    kept = cache / release.sha256
    if kept.is_file() and _sha256(kept.read_bytes()) == release.sha256:
        return kept.read_bytes()
    try:
        with urllib.request.urlopen(release.url, timeout=SILENCE_S) as reply:  # noqa: S310  the schema allows only http(s)
            content: bytes = reply.read()
    except (OSError, ValueError) as error:
        fix = "see this desk's way to the internet, or the URL in group_data"
        raise Unreachable(f"{release.url} could not be downloaded by the desk either ({error}): {fix}") from error
    found = _sha256(content)
    if found != release.sha256:
        fix = "correct its URL or sha256 in group_data; nothing was installed"
        raise Unreachable(f"{release.url} has the sha256 {found}, not {release.sha256}: {fix}")
    cache.mkdir(parents=True, exist_ok=True)
    beside = cache / f".{release.sha256}-{randomness.token_hex(4)}"
    beside.write_bytes(content)
    beside.replace(kept)
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
