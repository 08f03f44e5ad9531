"""HTTP/1.1, as much as the callers of the clouds speak."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY_HEADERS = ("authorization", "x-goog-api-key", "x-api-key")
LARGEST_BODY = 64 * 2**20
JSON = "application/json"
SSE = "text/event-stream"

Body = Any
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Request:
    """One HTTP request. `headers` by lower-case name; `body` parsed when it is JSON, else text."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Headers
    body: Body

    @property
    def key(self) -> str | None:
        """The provider key that came with it."""
        for name in KEY_HEADERS:
            if name in self.headers:
                return self.headers[name].removeprefix("Bearer ").strip()
        return next(iter(self.query.get("key", [])), None)

    @property
    def wants_stream(self) -> bool:
        """Whether the answer is to come in pieces."""
        asked = isinstance(self.body, dict) and bool(self.body.get("stream"))
        return asked or "streamGenerateContent" in self.path


@dataclass(frozen=True)
class Reply:
    """One answer: `parts` are written one after the other (a whole body is one part)."""

    parts: tuple[str, ...]
    status: int = 200
    content_type: str = JSON
    headers: Headers = field(default_factory=dict)


def reply(body: Body, status: int = 200, **headers: str) -> Reply:
    """A JSON answer."""
    return Reply((json.dumps(body),), status, headers={k.replace("_", "-"): v for k, v in headers.items()})


async def requests_of(reader: asyncio.StreamReader) -> AsyncIterator[Request]:
    """Every request of one connection. Raises ValueError for what is no HTTP."""
    while line := await reader.readline():
        method, target, _ = [*line.decode("latin-1").split(), "", "", ""][:3]
        if not target.startswith("/"):
            raise ValueError("this is no HTTP request")
        headers: dict[str, str] = {}
        while (line := await reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        raw = await _body(reader, headers)
        text = raw.decode("utf-8", "replace")
        try:
            body = json.loads(text) if text else {}
        except ValueError:
            body = text
        url = urlsplit(target)
        yield Request(method, url.path, parse_qs(url.query), headers, body)


async def _body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        length = int(headers.get("content-length") or 0)
        if length > LARGEST_BODY:
            raise ValueError("the body is too large")
        return await reader.readexactly(length)
    parts: list[bytes] = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        parts.append(await reader.readexactly(size))
        await reader.readline()
    await reader.readline()
    return b"".join(parts)


async def send(writer: asyncio.StreamWriter, answer: Reply, gap_s: float = 0.0, half: bool = False) -> None:
    """Write an answer, a single part with its length and several as chunks. `half`: stop in the middle."""
    single = len(answer.parts) == 1
    framing = f"content-length: {len(answer.parts[0].encode())}" if single else "transfer-encoding: chunked"
    lines = [f"HTTP/1.1 {answer.status} Lab", f"content-type: {answer.content_type}", framing]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    if single:
        data = answer.parts[0].encode()
        writer.write(data[: len(data) // 2] if half else data)
        await writer.drain()
        return
    for part in answer.parts[: max(1, len(answer.parts) // 2)] if half else answer.parts:
        data = part.encode()
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))
        await writer.drain()
        await asyncio.sleep(gap_s)
    if not half:
        writer.write(b"0\r\n\r\n")
        await writer.drain()
