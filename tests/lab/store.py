"""What the lab's machines download, under production's names over TLS: release archives, and Ollama's model registry.

`python3 store.py ROOT --tls CERT KEY` serves ROOT/downloads/<host>/<path> and, on registry names, ROOT/registry
(models.py says how that is laid out). Faults are set while it runs, through a control door without TLS:

    POST   /faults {"match": "blobs", "rate_bytes_s": 200000}   any of Fault's fields; the first that matches counts
    GET    /faults        DELETE /faults
    GET    /log           what was asked, oldest first      DELETE /log

Standard library only, in one file: the lab copies it into a bare container.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import re
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHUNK_BYTES = 64 * 1024
MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
PAGE, PAGE_TYPE = "index.json", "application/vnd.pypi.simple.v1+json"
REGISTRY_PATH = re.compile(r"/v2/(?P<model>[\w.-]+/[\w.-]+)/(?P<kind>manifests|blobs)/(?P<name>[\w.:-]+)")


@dataclasses.dataclass
class Fault:
    """What goes wrong for paths that `match` (a regular expression, searched in the path).

    `rate_bytes_s` slows every body; `cut_after_bytes` drops the connection there; `corrupt` turns a bit of the body's
    last byte; `status` answers that code instead; `instead` serves another path (a tag that has moved).
    `times`: how many requests it lasts; none = until it is taken away.
    """

    match: str = ""
    rate_bytes_s: float | None = None
    cut_after_bytes: int | None = None
    corrupt: bool = False
    status: int | None = None
    instead: str | None = None
    times: int | None = None

    def __post_init__(self) -> None:
        re.compile(self.match)


NO_FAULT = Fault()


class Shelf:
    """The files, the faults and the memory of what was asked. Safe to use from many threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.faults: list[Fault] = []
        self.log: deque[dict[str, Any]] = deque(maxlen=10_000)
        self._lock = threading.Lock()

    def fault_for(self, path: str) -> Fault:
        """The first fault that matches, used up by one if it is counted."""
        with self._lock:
            for fault in self.faults:
                if re.search(fault.match, path) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return NO_FAULT

    def find(self, host: str, path: str) -> Path | None:
        """The file behind a request, or None. Nothing outside the root is ever found."""
        asked = REGISTRY_PATH.fullmatch(path)
        if asked:
            candidate = self._in_registry(asked["model"], asked["kind"], asked["name"])
        else:
            candidate = self.root / "downloads" / host / path.lstrip("/")
            candidate = candidate / PAGE if candidate.is_dir() else candidate  # a page of the package index
        if candidate is None or not candidate.is_file():
            return None
        return candidate if candidate.resolve().is_relative_to(self.root.resolve()) else None

    def _in_registry(self, model: str, kind: str, name: str) -> Path | None:
        if kind == "blobs":
            return self.root / "registry" / "blobs" / name.replace(":", "-")
        folder = self.root / "registry" / "manifests" / model
        if not name.startswith("sha256:"):
            return folder / name
        tags = folder.iterdir() if folder.is_dir() else iter(())
        return next((tag for tag in tags if hashlib.sha256(tag.read_bytes()).hexdigest() == name[7:]), None)


class Handler(BaseHTTPRequestHandler):
    """What both doors share."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    shelf: Shelf

    def log_message(self, format: str, *args: Any) -> None:
        """The shelf keeps the log."""

    def answer(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        """One whole answer; a HEAD gets its headers alone."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range header asks for; None: all of it. Raises ValueError if it can't be had."""
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if not asked or not any(asked.groups()):
        return None
    if not asked[1]:
        first, last = max(size - int(asked[2]), 0), size - 1
    else:
        first, last = int(asked[1]), min(int(asked[2] or size - 1), size - 1)
    if first > last:
        raise ValueError(f"bytes */{size}")
    return first, last


class StoreHandler(Handler):
    """Downloads and models."""

    def setup(self) -> None:
        self.entry: dict[str, Any] = {}  # what the log says of the request at hand
        super().setup()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        fault = self.shelf.fault_for(path)
        host = (self.headers.get("Host") or "").partition(":")[0]
        asked = {"method": self.command, "host": host, "path": path, "range": self.headers.get("Range")}
        self.entry = {**asked, "agent": self.headers.get("User-Agent"), "status": None}
        self.shelf.log.append(self.entry)  # before the answer: who has that finds it in the log
        self._serve(host, path, fault)

    def send_response(self, code: int, message: str | None = None) -> None:
        self.entry["status"] = code
        super().send_response(code, message)

    do_HEAD = do_GET

    def _serve(self, host: str, path: str, fault: Fault) -> None:
        if fault.status:
            self._refuse(fault.status, "UNKNOWN", "the lab was told to answer so")
            return
        if path in ("/v2", "/v2/"):
            self.answer(200, b"{}")
            return
        file = self.shelf.find(host, fault.instead or path)
        if file is None:
            self._refuse(404, "NAME_UNKNOWN", f"{host}{path} is not in the lab's store")
        elif "/manifests/" in path:
            body = file.read_bytes()
            self.answer(200, body, MANIFEST_TYPE, Docker_Content_Digest=f"sha256:{hashlib.sha256(body).hexdigest()}")
        else:
            self._send_file(file, path, fault)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode())

    def _send_file(self, file: Path, path: str, fault: Fault) -> None:
        about = file.stat()
        tag = f'"{about.st_size:x}-{about.st_mtime_ns:x}"'
        wanted = self.headers.get("Range") if self.headers.get("If-Range") in (None, tag) else None
        try:
            part = byte_range(wanted, about.st_size)
        except ValueError as impossible:
            self.answer(416, b"", Content_Range=str(impossible))
            return
        first, last = part or (0, about.st_size - 1)
        self.send_response(206 if part else 200)
        self.send_header("Content-Type", PAGE_TYPE if file.name == PAGE else "application/octet-stream")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", tag)
        if part:
            self.send_header("Content-Range", f"bytes {first}-{last}/{about.st_size}")
        else:
            self.send_header("Location", path)  # Ollama asks a blob without a range only to learn where it really is
        self.end_headers()
        if self.command == "GET":
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                self._send_body(file, first, last, fault)

    def _send_body(self, file: Path, first: int, last: int, fault: Fault) -> None:
        sent = 0
        for chunk in _chunks(file, first, last):
            if fault.corrupt and sent + len(chunk) == last - first + 1:
                chunk = chunk[:-1] + bytes([chunk[-1] ^ 1])  # noqa: PLW2901
            if fault.cut_after_bytes is not None and sent + len(chunk) > fault.cut_after_bytes:
                self.wfile.write(chunk[: fault.cut_after_bytes - sent])
                self.close_connection = True
                return
            self.wfile.write(chunk)
            sent += len(chunk)
            if fault.rate_bytes_s:
                time.sleep(len(chunk) / fault.rate_bytes_s)


def _chunks(file: Path, first: int, last: int) -> Iterator[bytes]:
    with file.open("rb") as handle:
        handle.seek(first)
        left = last - first + 1
        while left > 0 and (chunk := handle.read(min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk


class ControlHandler(Handler):
    """The door through which tests make things go wrong, and read what was asked."""

    def do_GET(self) -> None:
        if self.path == "/faults":
            self._say([dataclasses.asdict(fault) for fault in self.shelf.faults])
        elif self.path == "/log":
            self._say(list(self.shelf.log))
        else:
            self._say({"error": "GET /faults or /log"}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.path != "/faults":
                raise ValueError("POST /faults")
            fault = Fault(**json.loads(body))
        except (ValueError, TypeError, re.error) as wrong:
            self._say({"error": str(wrong)}, 400)
            return
        self.shelf.faults.append(fault)
        self._say(dataclasses.asdict(fault))

    def do_DELETE(self) -> None:
        if self.path == "/faults":
            self.shelf.faults.clear()
        elif self.path == "/log":
            self.shelf.log.clear()
        else:
            self._say({"error": "DELETE /faults or /log"}, 404)
            return
        self._say({})

    def _say(self, value: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(value).encode())


class TlsServer(ThreadingHTTPServer):
    """Shakes hands in each connection's own thread, so that a caller who says nothing holds up nobody."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[Handler], context: ssl.SSLContext) -> None:
        super().__init__(address, handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(Handler.timeout)
        with contextlib.suppress(OSError), self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


def open_store(
    root: Path, certificate: Path, key: Path, *, host: str = "0.0.0.0", port: int = 443, control_port: int = 9901
) -> tuple[TlsServer, ThreadingHTTPServer]:
    """Both doors, bound and not yet serving. Port 0 picks a free one."""
    shelf = Shelf(root)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    handlers = (type(kind.__name__, (kind,), {"shelf": shelf}) for kind in (StoreHandler, ControlHandler))
    front, back = handlers
    return TlsServer((host, port), front, context), ThreadingHTTPServer((host, control_port), back)


def main() -> None:
    parser = argparse.ArgumentParser(description="the lab's store")
    parser.add_argument("root", type=Path)
    parser.add_argument("--tls", nargs=2, type=Path, metavar=("CERTIFICATE", "KEY"), required=True)
    options = parser.parse_args()
    store, control = open_store(options.root, *options.tls)
    threading.Thread(target=control.serve_forever, daemon=True).start()
    store.serve_forever()


if __name__ == "__main__":
    main()
