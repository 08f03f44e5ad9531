"""Puts an image into the lab's registry, over TLS and under its production name.

Layers go as they are: nothing leaves this computer, so packing and unpacking them would only cost time.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import subprocess
import tarfile
import tempfile
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from tests.lab.shell import Trouble

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
PLAIN_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
PACKED_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
GZIP_BEGINS = b"\x1f\x8b"


class Registry:
    """An image registry that answers as `host` at `address`, trusted through `authority`."""

    def __init__(self, host: str, address: str, authority: Path) -> None:
        self.host, self.address, self.authority = host, address, authority

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def digest(self, repository: str, tag: str) -> str | None:
        """The digest that `tag` has there, or None. Raises OSError while the registry does not answer."""
        headers = {"Accept": MANIFEST}
        status, found, _ = self._ask("HEAD", f"/v2/{repository}/manifests/{tag}", headers=headers)
        return found["Docker-Content-Digest"] if status == 200 else None

    def push(self, image: str, repository: str, tag: str) -> str:
        """Push the local `image`; returns the digest of its manifest."""
        with tempfile.TemporaryDirectory() as scratch:
            saved = Path(scratch) / "image.tar"
            with saved.open("wb") as file:
                subprocess.run(["docker", "save", image], stdout=file, check=True)
            with tarfile.open(saved) as archive:
                manifest = self._push_parts(archive, repository)
        body = json.dumps(manifest).encode()
        headers = {"Content-Type": MANIFEST}
        status, found, said = self._ask("PUT", f"/v2/{repository}/manifests/{tag}", body, headers)
        if status != 201:
            raise Trouble(f"the lab's registry refuses the image's manifest: {said.decode(errors='replace')}")
        return found["Docker-Content-Digest"]

    def _push_parts(self, archive: tarfile.TarFile, repository: str) -> dict[str, Any]:
        parts = json.loads(_member(archive, "manifest.json").read())[0]
        config = self._push_blob(repository, _member(archive, parts["Config"]), CONFIG)
        layers = []
        for name in parts["Layers"]:
            layer = _member(archive, name)
            packed = layer.read(2) == GZIP_BEGINS
            layers.append(self._push_blob(repository, layer, PACKED_LAYER if packed else PLAIN_LAYER))
        return {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}

    def _push_blob(self, repository: str, content: BufferedReader, media_type: str) -> dict[str, Any]:
        content.seek(0)
        digest = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        size = content.tell()
        content.seek(0)
        _, found, _ = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        place = found["Location"].removeprefix(f"https://{self.host}")
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        joint = "&" if "?" in place else "?"
        status, _, said = self._ask("PUT", f"{place}{joint}digest={digest}", content, headers)
        if status != 201:
            raise Trouble(f"the lab's registry refuses a layer: {said.decode(errors='replace')}")
        return {"mediaType": media_type, "digest": digest, "size": size}

    def _ask(
        self, method: str, path: str, body: bytes | BufferedReader | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPSConnection(self.host, timeout=120, blocksize=1 << 20)
        plain = socket.create_connection((self.address, 443), timeout=120)
        connection.sock = self._trust.wrap_socket(plain, server_hostname=self.host)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()


def _member(archive: tarfile.TarFile, name: str) -> BufferedReader:
    member = archive.getmember(name)
    while member.issym():  # Docker saves a layer that two images share once
        member = archive.getmember(str((Path(member.name).parent / member.linkname).as_posix()))
    found = archive.extractfile(member)
    if found is None:
        raise Trouble(f"docker save left no {name} in its archive")
    return cast(BufferedReader, found)
