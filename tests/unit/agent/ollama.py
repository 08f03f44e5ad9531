"""Ollama's HTTP API and its registry on loopback, in the very words of recorded exchanges (data/ollama.json)."""

from __future__ import annotations

import hashlib
import http.client
import json
import threading
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RECORDED = json.loads((Path(__file__).parent / "data" / "ollama.json").read_text())["exchanges"]
MODEL = json.loads(RECORDED["tags_two"]["body"])["models"][0]
LOADED = json.loads(RECORDED["ps_loaded"]["body"])["models"][0]


def manifest_of(text: str, size: int = 500) -> bytes:
    """A registry's manifest with one layer that `text` stands for."""
    blobs = [hashlib.sha256(each.encode()).hexdigest() for each in (f"config of {text}", text)]
    config, layer = ({"digest": f"sha256:{each}", "size": size} for each in blobs)
    return json.dumps({"schemaVersion": 2, "config": config, "layers": [layer]}).encode()


def digest_of(manifest: bytes) -> str:
    return hashlib.sha256(manifest).hexdigest()


@dataclass
class FakeOllama:
    """What it holds and has loaded; `registry` is what a pull brings; `said_on_pull` replaces a pull's reply."""

    held: dict[str, str] = field(default_factory=dict)  # tag: digest
    loaded: set[str] = field(default_factory=set)
    registry: dict[str, bytes] = field(default_factory=dict)  # "library/gemma3/4b": manifest
    registry_status: int | None = None
    said_on_pull: str | None = None
    asked: list[tuple[str, str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        class Handler(_Handler):
            ollama = self

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def pushed(self, tag: str, manifest: bytes) -> str:
        """The registry now has this for the tag. Gives the digest."""
        name, _, version = tag.partition(":")
        self.registry[f"library/{name}/{version}"] = manifest
        return digest_of(manifest)

    def changes(self) -> list[str]:
        return [path for method, path, _ in self.asked if method != "GET"]

    # -- replies: (status, body)
    def answer(self, method: str, path: str, body: Any) -> tuple[int, str]:
        self.asked.append((method, path, body))
        if path.startswith("/v2/"):
            return self._registry(path)
        reply: tuple[int, str] = getattr(self, path.removeprefix("/api/"))(body)
        return reply

    def _registry(self, path: str) -> tuple[int, str]:
        name, _, version = path.removeprefix("/v2/").partition("/manifests/")
        manifest = self.registry.get(f"{name}/{version}")
        if self.registry_status:
            return self.registry_status, ""
        return (200, manifest.decode()) if manifest else (404, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')

    def tags(self, _: Any) -> tuple[int, str]:
        models = [{**MODEL, "name": tag, "model": tag, "digest": digest} for tag, digest in self.held.items()]
        return 200, json.dumps({"models": models})

    def ps(self, _: Any) -> tuple[int, str]:
        models = [{**LOADED, "name": tag, "model": tag, "digest": self.held[tag]} for tag in self.loaded]
        return 200, json.dumps({"models": models})

    def pull(self, body: Any) -> tuple[int, str]:
        if self.said_on_pull is not None:
            return 200, self.said_on_pull
        name, _, version = body["model"].partition(":")
        manifest = self.registry.get(f"library/{name}/{version}")
        if manifest is None:
            return _recorded("pull_missing_stream")
        self.held[body["model"]] = digest_of(manifest)
        return _recorded("pull_again")

    def generate(self, body: Any) -> tuple[int, str]:
        if body["model"] not in self.held:
            return _recorded("generate_404")
        self.loaded = {body["model"]}
        return _recorded("preload")

    def copy(self, body: Any) -> tuple[int, str]:
        if body["source"] not in self.held:
            return _recorded("copy_404")
        self.held[body["destination"]] = self.held[body["source"]]
        return _recorded("copy")

    def delete(self, body: Any) -> tuple[int, str]:
        return _recorded("delete" if self.held.pop(body["model"], None) else "delete_404")


def _recorded(name: str) -> tuple[int, str]:
    return RECORDED[name]["status"], RECORDED[name]["body"]


class _Handler(BaseHTTPRequestHandler):
    ollama: FakeOllama

    def _reply(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.ollama.answer(self.command, self.path, json.loads(data) if data else None)
        self.send_response(status)
        self.end_headers()  # ends with the connection, as a chunked reply ends with its last chunk
        self.wfile.write(body.encode())

    do_GET = do_POST = do_DELETE = _reply

    def log_message(self, *_: Any) -> None:
        pass


class ToLoopback(urllib.request.HTTPSHandler):
    """Takes every https request to a port of loopback: the only thing about the registry that is not as it is."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.port = port
        self.hosts: list[str] = []

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        self.hosts.append(request.host)

        def connection(_: str, timeout: float = 5, **more: Any) -> http.client.HTTPConnection:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

        return self.do_open(connection, request)
