"""Archives as releases come: tar.gz, tar.zst, zip; good ones and ones that lead outside."""

from __future__ import annotations

import io
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence

PROGRAM = b"#!/bin/sh\necho ollama\n"
FILES = {"bin/ollama": PROGRAM, "lib/ollama/libggml.so.1": b"\x7fELF" * 2000, "lib/größe.txt": b"x"}
LINKS = {"lib/ollama/libggml.so": "libggml.so.1", "lib/current": "ollama", "bin/up": "../lib/größe.txt"}


def tar(
    files: Mapping[str, bytes] = FILES, links: Mapping[str, str] = LINKS, odd: Sequence[tarfile.TarInfo] = ()
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o4755 if "bin" in name else 0o644, 1_700_000_000
            member.uid = member.gid = 4711
            archive.addfile(member, io.BytesIO(content))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
        for member in odd:
            archive.addfile(member)
    return buffer.getvalue()


def tar_gz(content: bytes) -> bytes:
    return subprocess.run(["gzip", "-nc"], input=content, capture_output=True, check=True).stdout


def tar_zst(content: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=content, capture_output=True, check=True).stdout


def zipped(files: Mapping[str, bytes] = FILES) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member
