"""A small real HTTP server on loopback that speaks the OpenAI wire format, and can be told to misbehave."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ("Good ", "morning, ", "world.")


class Exchange(BaseHTTPRequestHandler):
    """One request. A behaviour writes the answer with `open_stream`, `frame`, `say` and `refuse`."""

    protocol_version = "HTTP/1.1"
    server: _Server
    line_end = "\n"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        door = self.server.door
        door.asked.append(Asked(self.path, dict(self.headers.items()), body))
        self.close_connection = True
        try:
            door.behaviour(self)
        except (BrokenPipeError, ConnectionResetError):
            door.client_gone.set()

    def open_stream(self, **headers: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def raw(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()

    def frame(self, payload: object) -> None:
        self.raw(f"data: {json.dumps(payload)}{self.line_end * 2}")

    def say(self, text: str, finish: str | None = None) -> None:
        delta = {"content": text} if text else {}
        self.frame({"model": "tiny", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

    def done(self) -> None:
        self.raw(f"data: [DONE]{self.line_end * 2}")

    def answer(self, status: int, payload: object, **headers: str) -> None:
        """A whole JSON (or, for a str, HTML) answer with its Content-Length."""
        body = (payload if isinstance(payload, str) else json.dumps(payload)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if isinstance(payload, str) else "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def hold(self, seconds: float) -> None:
        """Say nothing, until the time is over, the test is, or the client goes away."""
        end = time.monotonic() + seconds
        self.connection.settimeout(0.02)
        while time.monotonic() < end and not self.server.door.closing.is_set():
            try:
                if not self.connection.recv(1):
                    self.server.door.client_gone.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                self.server.door.client_gone.set()
                return
            finally:
                self.server.door.holding.set()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: pytest's output is for the tests."""


def healthy(exchange: Exchange) -> None:
    exchange.open_stream(x_litellm_model_group="cerebras", x_litellm_attempted_fallbacks="1")
    for word in WORDS:
        exchange.say(word)
    exchange.say("", finish="stop")
    exchange.done()


def refusing(status: int, payload: object) -> Behaviour:
    return lambda exchange: exchange.answer(status, payload)


def streaming(*texts: str, pause_s: float = 0.0) -> Behaviour:
    """Say each text in a frame of its own, and finish well."""

    def behave(exchange: Exchange) -> None:
        exchange.open_stream()
        for text in texts:
            exchange.say(text)
            if pause_s:
                exchange.hold(pause_s)
        exchange.say("", finish="stop")
        exchange.done()

    return behave


Behaviour = Callable[[Exchange], None]


@dataclass
class Asked:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.raw))

    @property
    def question(self) -> str:
        return str(self.body["messages"][0]["content"])


@dataclass
class Door:
    """What a test sees of the server: its address, what it was asked, and how it shall behave."""

    behaviour: Behaviour = healthy
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    client_gone: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, door: Door) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.door = door


@contextmanager
def open_door() -> Iterator[Door]:
    door = Door()
    server = _Server(door)
    door.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield door
    finally:
        door.closing.set()
        server.shutdown()
        server.server_close()


def closed_url() -> str:
    """An address on loopback where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """An address where a TCP connect gets no answer at all: a listener whose queue is full."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        time.sleep(0.05)
        yield f"http://127.0.0.1:{full.getsockname()[1]}"
