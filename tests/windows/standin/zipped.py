"""The agent as it was sent: its modules out of the zipapp that the stand-in Python was started with."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .machine import Machine

PACKAGE, INSIDE = "deploys.agent", "agent/"
_read: dict[tuple[str, int, int], dict[str, bytes]] = {}


def modules(machine: Machine, script: str) -> dict[str, bytes]:
    """{module's name: source} of that file; empty when it holds no agent."""
    real = machine.drive.real(script)
    if not real.is_file():
        return {}
    about = real.stat()
    key = (str(real), about.st_mtime_ns, about.st_size)
    if key not in _read:
        _read[key] = _unpacked(real.read_bytes())
    return _read[key]


def _unpacked(content: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            sources = {each: archive.read(each) for each in archive.namelist() if each.startswith(INSIDE)}
    except zipfile.BadZipFile:
        return {}
    return {_name(each): source for each, source in sources.items()}


def _name(path: str) -> str:
    """agent/windows/acl.py → deploys.agent.windows.acl"""
    own = path.removeprefix(INSIDE).removesuffix(".py").removesuffix("__init__").strip("/")
    return ".".join([PACKAGE, *own.split("/")]) if own else PACKAGE
