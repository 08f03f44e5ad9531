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
        for source in sorted(SOURCES.rglob("*.py")):
            _add(archive, f"agent/{source.relative_to(SOURCES).as_posix()}", source.read_bytes())
        _add(archive, "__main__.py", b"import sys\n\nfrom agent.main import main\n\nsys.exit(main())\n")
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED, 9)


@functools.cache
def file_name() -> str:
    """`agent-<12 hex digits of its sha256>.pyz`"""
    return f"agent-{hashlib.sha256(packed()).hexdigest()[:12]}.pyz"
