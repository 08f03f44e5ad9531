"""The package index of the lab: pages as pip and uv read them, and uv's archive as its own release lays it out."""

from __future__ import annotations

import hashlib
import json
import tarfile
import zipfile
from pathlib import Path

from tests.lab.settings import INDEX
from tests.lab.store import Shelf
from tests.lab.wheels import Wheels, _pack, publish

UV = {"version": "1", "url": "https://github.com/x/uv/releases/download/1/uv-linux.tar.gz", "sha256": "0" * 64}


def test_every_wheel_is_on_its_page_and_found_by_the_store(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels" / "Litellm_Proxy.extras-1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    (tmp_path / "uv-linux.tar.gz").write_bytes(b"uv")
    root = tmp_path / "store"
    for _ in range(2):  # again does no harm
        publish(Wheels(tmp_path, UV), root)
    shelf = Shelf(root)
    page = shelf.find(INDEX, "/simple/litellm-proxy-extras/")
    assert page
    (listed,) = json.loads(page.read_text())["files"]
    assert listed["hashes"]["sha256"] == hashlib.sha256(b"wheel").hexdigest()
    assert listed["url"] == f"../../files/{wheel.name}"
    served = shelf.find(INDEX, f"/files/{wheel.name}")
    assert served
    assert served.read_bytes() == b"wheel"
    archive = shelf.find("github.com", "/x/uv/releases/download/1/uv-linux.tar.gz")
    assert archive
    assert archive.read_bytes() == b"uv"
    assert shelf.find(INDEX, "/simple/other/") is None


def test_programs_of_the_wheel_become_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "uv.whl", "w") as wheel:
        wheel.writestr("uv/__init__.py", "")
        wheel.writestr("uv-1.data/scripts/uv", "program")
    _pack(tmp_path / "uv.whl", tmp_path / "uv-linux.tar.gz")
    with tarfile.open(tmp_path / "uv-linux.tar.gz") as archive:
        (member,) = archive.getmembers()
        assert (member.name, member.mode) == ("uv-linux/uv", 0o755)
