"""A web server on loopback that serves archives, with ranges, and can be told to misbehave."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Shop:
    """`statuses`: what the first requests get instead of 200. `cuts`: after how many bytes the first ones break off.
    `asked`: the Range header of each request ("" when there was none)."""

    goods: dict[str, bytes] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    chunked: bool = False
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        class Handler(_Handler):
            shop = self

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/{name}"

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    shop: Shop
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        asked = self.headers.get("Range", "")
        self.shop.asked.append(asked)
        content = self.shop.goods.get(self.path[1:])
        if self.shop.statuses:
            return self.send_error(self.shop.statuses.pop(0))
        if content is None:
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.shop.ranges else 0
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self._body(content[start:])

    def _body(self, content: bytes) -> None:
        cut = self.shop.cuts.pop(0) if self.shop.cuts else len(content)
        if self.shop.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(content) + content[:cut])
            self.wfile.write(b"\r\n0\r\n\r\n" if cut >= len(content) else b"")
        else:
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:cut])

    def log_message(self, *_: Any) -> None:
        pass
