"""A package index for machines without internet: the locked wheels of LiteLLM, and uv, which installs them.

The store serves them at production's addresses. Only what the lock of the native gateway names is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.lab.images import GATEWAY_LOCK, Images
from tests.lab.settings import HERE, INDEX
from tests.lab.shell import Trouble
from tests.lab.tools import Beside, download, key_of

UV_LOCK = HERE / "locks" / "uv.txt"
RECIPE = HERE / "recipes" / "wheels.sh"
LAYOUT = "2"


@dataclass(frozen=True)
class Wheels:
    """What the store serves: `folder` holds wheels/ and uv's archive. `uv`: {"version", "url", "sha256"} as served."""

    folder: Path
    uv: dict[str, str]

    @property
    def archive(self) -> Path:
        """uv's archive."""
        return self.folder / self.uv["url"].rpartition("/")[2]


def wheels(images: Images, release: dict[str, str], online: bool) -> Wheels:
    """The wheels, and uv's archive for `release`, fetched on first need."""
    folder = images.lab.cache / "wheels" / key_of(GATEWAY_LOCK, UV_LOCK, RECIPE, release, images.base_tag, LAYOUT)
    name = release["url"].rpartition("/")[2]
    if not folder.is_dir():
        with images.steps.step("wheels", "LiteLLM's wheels and uv from PyPI", "30 s"), Beside(folder) as work:
            shutil.copy(GATEWAY_LOCK, work / "requirements.lock")
            shutil.copy(UV_LOCK, work / "uv.txt")
            images.fetch(RECIPE, work)
            if not (online and _official(release, work / name)):
                _pack(next((work / "uv").glob("*.whl")), work / name)
    with (folder / name).open("rb") as file:
        return Wheels(folder, {**release, "sha256": hashlib.file_digest(file, "sha256").hexdigest()})


def _official(release: dict[str, str], target: Path) -> bool:
    try:
        download(release["url"], release["sha256"], target)
    except Trouble:
        return False
    return True


def _pack(wheel: Path, archive: Path) -> None:
    """The archive as uv's own release lays it out, from the wheel that holds the same programs."""
    top = archive.name.removesuffix(".tar.gz")
    with zipfile.ZipFile(wheel) as packed, tarfile.open(archive, "w:gz", compresslevel=1) as out:
        for entry in packed.infolist():
            if "/scripts/" in entry.filename:
                about = tarfile.TarInfo(f"{top}/{entry.filename.rpartition('/')[2]}")
                about.size, about.mode = entry.file_size, 0o755
                with packed.open(entry) as content:
                    out.addfile(about, content)


def publish(found: Wheels, root: Path) -> None:
    """Put it all where the store looks: ROOT/downloads/<host>/<path>."""
    url = urlsplit(found.uv["url"])
    _link(found.archive, root / "downloads" / url.netloc / url.path.lstrip("/"))
    index = root / "downloads" / INDEX
    files: dict[str, list[dict[str, Any]]] = {}
    for wheel in sorted((found.folder / "wheels").glob("*.whl")):
        _link(wheel, index / "files" / wheel.name)
        name = re.sub(r"[-_.]+", "-", wheel.name.partition("-")[0]).lower()
        about = {"filename": wheel.name, "url": f"../../files/{wheel.name}"}
        files.setdefault(name, []).append({**about, "hashes": {"sha256": _sha256(wheel)}})
    for name, listed in files.items():
        page = index / "simple" / name / "index.json"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(json.dumps({"meta": {"api-version": "1.0"}, "name": name, "files": listed}))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists() and place.samefile(source):
        return
    place.unlink(missing_ok=True)
    try:
        os.link(source, place)
    except OSError:  # another file system, or another's file
        shutil.copy2(source, place)
