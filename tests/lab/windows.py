"""What the lab's Windows machine downloads: archives and installers in their production layout, made here.

Each executable in them is a mark that the stand-in machine knows; Ollama's brings the real server with it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from group_data import windows as production
from tests.lab.archive import OllamaArchive
from tests.lab.shell import run
from tests.lab.wheels import Wheels
from tests.windows.standin.processes import wrapped

LONG_AGO = (2020, 1, 1, 0, 0, 0)
RUNTIME = "lib/ollama/runtime/"
DRIVE = "/var/lib/windows/C"
USER = "Anna"


@dataclass(frozen=True)
class Served:
    """One download as group_data names it: its `url` is production's, its bytes are ours."""

    version: str
    url: str
    sha256: str

    def as_data(self) -> dict[str, str]:
        return vars(self)


def publish(root: Path, archive: OllamaArchive) -> dict[str, Any]:
    """Put everything below the store's `root`. Returns what the lab's group_data needs to know."""
    downloads = root / "downloads"
    runtime = production.agent.runtime
    assert runtime is not None
    ollama_url = re.sub(r"/v[^/]+/", f"/v{archive.version}/", production.ollama.release.url)
    served = {
        "runtime": _serve(downloads, runtime.version, runtime.url, embeddable_python(runtime.version)),
        "ollama": _serve(downloads, archive.version, ollama_url, ollama_zip(archive)),
    }
    installers = {}
    for each in production.docker.installers:
        content = _installer(each.name)
        installers[each.name] = _serve(downloads, "1", each.url, content).sha256
    return {
        **{name: each.as_data() for name, each in served.items()},
        "installers": installers,
        "user": USER,
    }


def _serve(downloads: Path, version: str, url: str, content: bytes) -> Served:
    parts = urlsplit(url)
    place = downloads / parts.netloc / parts.path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    if not (place.exists() and place.read_bytes() == content):
        place.write_bytes(content)
    return Served(version, url, hashlib.sha256(content).hexdigest())


def embeddable_python(version: str) -> bytes:
    """The layout of python-X-embed-amd64.zip; python.exe is the stand-in's interpreter, the rest is only there."""
    short = "".join(version.split(".")[:2])
    lines = f"python{short}.zip\r\n.\r\n\r\n# Uncomment to run site.main() automatically\r\n#import site\r\n"
    library = io.BytesIO()
    with zipfile.ZipFile(library, "w"):
        pass
    parts = {
        "python.exe": wrapped("python"),
        "pythonw.exe": wrapped("python"),
        f"python{short}._pth": lines.encode(),
        f"python{short}.zip": library.getvalue(),
        **{name: b"MZ" + name.encode() for name in ("python3.dll", f"python{short}.dll", "vcruntime140.dll")},
        **{name: b"MZ" + name.encode() for name in ("_ctypes.pyd", "_ssl.pyd", "_hashlib.pyd", "libffi-8.dll")},
        "LICENSE.txt": b"The real one brings its licence here.\r\n",
    }
    return _zip(parts)


def ollama_zip(archive: OllamaArchive) -> bytes:
    """ollama-windows-amd64.zip: ollama.exe at its top, lib\\ollama beside; in there the real server and its engine."""
    parts: dict[str, bytes] = {
        "ollama.exe": wrapped("ollama"),
        "lib/ollama/llama-server.exe": b"MZ llama-server",
    }
    plain = _unpacked(archive.path)
    with tarfile.open(fileobj=io.BytesIO(plain)) as packed:
        for member in packed.getmembers():
            content = packed.extractfile(member) if member.isfile() or member.issym() else None
            if content is not None:
                parts[RUNTIME + member.name.removeprefix("./")] = content.read()
    return _zip(parts)


def _unpacked(archive: Path) -> bytes:
    """The tar inside a .tar.zst."""
    beside = archive.with_suffix("")
    made = beside.with_name(beside.name + ".plain")
    run(["zstd", "-q", "-d", "-f", archive, "-o", made], trouble=f"cannot unpack {archive.name}")
    try:
        return made.read_bytes()
    finally:
        made.unlink()


def publish_native(root: Path, wheels: Wheels) -> dict[str, dict[str, str]]:
    """uv, and the whole Python that a virtual environment is made of: what the gateway without a container needs."""
    native, downloads = production.gateway_native, root / "downloads"
    assert native.uv.release is not None
    assert native.python.release is not None
    with tarfile.open(wheels.archive) as packed:
        (member,) = (each for each in packed.getmembers() if each.name.endswith("/uv"))
        program = packed.extractfile(member)
        assert program is not None
        uv = _zip({"uv.exe": wrapped("uv"), "runtime/uv": program.read()})
    released = {"uv": (native.uv.release, uv), "python": (native.python.release, whole_python())}
    return {name: _serve(downloads, each.version, each.url, made).as_data() for name, (each, made) in released.items()}


def whole_python() -> bytes:
    """python-build-standalone's layout: everything below python\\."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as packed:
        about = tarfile.TarInfo("python/python.exe")
        content = wrapped("wholepython")
        about.size, about.mode = len(content), 0o755
        packed.addfile(about, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _installer(name: str) -> bytes:
    """Docker Desktop's own installer, or a package for msiexec that brings a program of that name."""
    if name == "Docker Desktop":
        return wrapped("docker-installer", b"4.93.0\n")
    return wrapped("msi", json.dumps({"DisplayName": name, "DisplayVersion": "2.6.3.0"}).encode() + b"\n")


def _zip(parts: Mapping[str, bytes]) -> bytes:
    """Same parts, same bytes. Stored, not packed: nothing of it leaves this computer."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in parts.items():
            packed.writestr(zipfile.ZipInfo(name, LONG_AGO), content, zipfile.ZIP_STORED)
    return buffer.getvalue()
