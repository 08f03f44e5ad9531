"""The lab's model registry as files: what `ollama pull` of a production tag will find there.

Layout below the root: `manifests/library/<model>/<tag>` and `blobs/sha256-<hex>`.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.gemma import CONTEXT_TOKENS, write_model

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
LAYER_TYPE = "application/vnd.ollama.image."


@dataclass(frozen=True)
class Published:
    """One model as the registry serves it. `digest`: 64 hex digits, of the manifest's bytes."""

    digest: str
    size_bytes: int
    says: str


def publish(root: Path, tag: str, sentence: str, params: Mapping[str, Any] | None = None) -> Published:
    """Write the model `tag` (name:tag) into the registry below `root`, replacing what that tag named before."""
    model, _, version = tag.partition(":")
    with tempfile.TemporaryDirectory() as scratch:
        weights = Path(scratch) / "model.gguf"
        write_model(weights, model, sentence)
        layers = [
            _layer(root, "model", weights.read_bytes()),
            _layer(root, "license", b"CC0-1.0: weights set by hand to say one sentence\n"),
            _layer(root, "params", _json(params or {"temperature": 0, "num_ctx": CONTEXT_TOKENS})),
        ]
    config = _blob(root, _json(_config([layer["digest"] for layer in layers])))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, **config},
            "layers": layers,
        }
    )
    path = root / "manifests" / "library" / model / version
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest)
    size_bytes = config["size"] + sum(layer["size"] for layer in layers)
    return Published(hashlib.sha256(manifest).hexdigest(), size_bytes, sentence)


def _config(diff_ids: list[str]) -> dict[str, Any]:
    return {
        "model_format": "gguf",
        "model_family": "gemma3",
        "model_families": ["gemma3"],
        "model_type": "550K",
        "file_type": "F32",
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }


def _layer(root: Path, kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": LAYER_TYPE + kind, **_blob(root, content)}


def _blob(root: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    path = root / "blobs" / f"sha256-{digest}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
