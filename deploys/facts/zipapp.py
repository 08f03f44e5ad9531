"""The agent as one file: the same sources give the same bytes, and the name tells which."""

from __future__ import annotations

import functools
import hashlib
import io
import zipfile
from pathlib import Path

SOURCES = Path(__file__).parent.parent / "agent"
EPOCH = (1980, 1, 1, 0, 0, 0)


@functools.cache
def packed() -> bytes:
    """A zipapp of `deploys/agent`, the same bytes on every desk."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for source in sorted(SOURCES.glob("*.py")):
            archive.writestr(zipfile.ZipInfo(source.name, EPOCH), source.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


@functools.cache
def file_name() -> str:
    """`agent-<12 hex digits of its sha256>.pyz`"""
    return f"agent-{hashlib.sha256(packed()).hexdigest()[:12]}.pyz"
