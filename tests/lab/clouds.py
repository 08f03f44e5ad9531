"""The cloud lanes and Slack, played for the lab: their wire formats, on fixed ports, with faults on demand.

`python clouds.py` serves every lane on 0.0.0.0 (cerebras 9001 ... slack 9006) and a control door on 9900:

    POST   /lane/cerebras {"mode": "stalled"}      also slow {"seconds": 5}, rate-limited {"retry_after": 20} ...
    GET    /lanes                                  every lane's port and mode
    GET    /log?lane=cerebras                      what arrived, oldest first; keys as fingerprints, never whole
    DELETE /log        POST /reset        GET /health

Standard library only: the lab copies this one file into a bare container.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

PORTS = {"cerebras": 9001, "gemini": 9002, "cloudflare": 9003, "groq": 9004, "anthropic": 9005, "slack": 9006}
CONTROL_PORT = 9900
MODES = (
    *("healthy", "slow", "stalled", "rate-limited", "out-of-quota", "unauthorized", "broken"),
    *("cut-midstream", "stalled-midstream", "refusing"),
)
KEY_HEADERS = ("authorization", "x-goog-api-key", "x-api-key")
LARGEST_BODY = 64 * 2**20
TIME_TO_ARRIVE_S = 0.2  # a reset at once would take back what the caller has not read yet
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


def fingerprint(key: str | None) -> str | None:
    """Enough of a key's hash to tell two keys apart, and nothing of the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else None


# ---- what each provider says ---------------------------------------------------------------------------------------


def sentence(lane: str) -> str:
    """The words of a lane's answer, which name it."""
    return f"{lane.capitalize()} answers, playing its part in the lab."


def pieces(lane: str) -> list[str]:
    """The sentence as a stream delivers it: word by word, nothing lost."""
    return re.findall(r"\S+\s*", sentence(lane))


def tokens(request: Request, lane: str) -> tuple[int, int]:
    """Prompt and answer, counted roughly: four characters of the request a token, one for each piece."""
    return max(1, len(json.dumps(request.body)) // 4), len(pieces(lane))


def openai_style(lane: str, request: Request) -> Reply:
    """Cerebras, Cloudflare and Groq: chat completions, a list of models, Cloudflare's token check."""
    if request.path.endswith("/models"):
        return reply({"object": "list", "data": [{"id": f"{lane}-model", "object": "model", "owned_by": lane}]})
    if request.path.endswith("/user/tokens/verify"):
        return reply({"success": True, "errors": [], "messages": [], "result": {"id": "lab", "status": "active"}})
    if not request.path.endswith("/chat/completions") or not isinstance(request.body, dict):
        return reply({"error": {"message": f"Unknown request URL: {request.path}", "type": "not_found"}}, 404)
    asked, said = tokens(request, lane)
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    base = {"id": f"chatcmpl-{lane}", "created": int(time.time()), "model": request.body.get("model")}
    if lane == "groq":
        base["service_tier"] = "on_demand"
    if not request.wants_stream:
        message = {"role": "assistant", "content": sentence(lane)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return reply({**base, "object": "chat.completion", "choices": [choice], "usage": usage})

    def chunk(choices: list[Body], **more: Body) -> str:
        return f"data: {json.dumps({**base, 'object': 'chat.completion.chunk', 'choices': choices, **more})}\n\n"

    parts = [
        chunk([{"index": 0, "delta": {"role": "assistant", "content": each}, "finish_reason": None}])
        for each in pieces(lane)
    ]
    unasked = {"usage": usage} if lane in ("cerebras", "groq") else {}
    parts.append(chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], **unasked))
    if (request.body.get("stream_options") or {}).get("include_usage"):
        parts.append(chunk([], usage=usage))
    return Reply((*parts, "data: [DONE]\n\n"), content_type=SSE)


def gemini(lane: str, request: Request) -> Reply:
    """generateContent, streamGenerateContent (SSE), countTokens and the list of models."""
    asked, said = tokens(request, lane)
    if request.method == "GET" and request.path.endswith("/models"):
        return reply({"models": [{"name": "models/gemini-lab", "supportedGenerationMethods": ["generateContent"]}]})
    if request.path.endswith(":countTokens"):
        return reply({"totalTokens": asked})
    model, colon, verb = request.path.rpartition("/")[2].partition(":")
    if not colon or verb not in ("generateContent", "streamGenerateContent"):
        return reply({"error": {"code": 404, "message": f"{request.path} is not found", "status": "NOT_FOUND"}}, 404)
    usage = {"promptTokenCount": asked, "candidatesTokenCount": said, "totalTokenCount": asked + said}

    def answer(text: str, last: bool) -> dict[str, Body]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
        done = {"finishReason": "STOP"} if last else {}
        return {
            "candidates": [{**candidate, **done}],
            "usageMetadata": usage,
            "modelVersion": model,
            "responseId": "lab",
        }

    if verb == "generateContent":
        return reply(answer(sentence(lane), True))
    words = pieces(lane)
    parts = [f"data: {json.dumps(answer(each, n == len(words)))}\r\n\r\n" for n, each in enumerate(words, 1)]
    return Reply(tuple(parts), content_type=SSE)


def anthropic(lane: str, request: Request) -> Reply:
    """Messages with their events, count_tokens and the list of models."""
    if request.method == "GET" and request.path.endswith("/models"):
        return reply({"data": [{"type": "model", "id": "claude-lab", "display_name": "Claude"}], "has_more": False})
    asked, said = tokens(request, lane)
    if request.path.endswith("/messages/count_tokens"):
        return reply({"input_tokens": asked})
    if not request.path.endswith("/messages") or not isinstance(request.body, dict):
        return reply({"type": "error", "error": {"type": "not_found_error", "message": request.path}}, 404)
    message = {"id": "msg_lab", "type": "message", "role": "assistant", "model": request.body.get("model")}
    if not request.wants_stream:
        content = [{"type": "text", "text": sentence(lane)}]
        usage = {"input_tokens": asked, "output_tokens": said}
        ended = {"stop_reason": "end_turn", "stop_sequence": None}
        return reply({**message, "content": content, **ended, "usage": usage})

    def event(kind: str, **more: Body) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"

    start: Body = {**message, "content": [], "stop_reason": None, "usage": {"input_tokens": asked, "output_tokens": 1}}
    deltas = [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": each}) for each in pieces(lane)
    ]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return Reply(
        (
            event("message_start", message=start),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *deltas,
            event("content_block_stop", index=0),
            event("message_delta", delta=ended, usage={"output_tokens": said}),
            event("message_stop"),
        ),
        content_type=SSE,
    )


def slack(_lane: str, request: Request) -> Reply:
    """An incoming webhook."""
    if isinstance(request.body, dict) and request.body.get("text"):
        return Reply(("ok",), content_type="text/html")
    return Reply(("invalid_payload",), 400, "text/html")


VOICES: Mapping[str, Callable[[str, Request], Reply]] = {
    **dict.fromkeys(("cerebras", "cloudflare", "groq"), openai_style),
    "gemini": gemini,
    "anthropic": anthropic,
    "slack": slack,
}


def complaint(lane: str, status: int, kind: str, message: str) -> Body:
    """An error in the provider's own form."""
    if lane == "gemini":
        return {"error": {"code": status, "message": message, "status": kind.upper()}}
    if lane == "anthropic":
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_lab"}
    if lane == "cloudflare":
        return {"success": False, "result": None, "messages": [], "errors": [{"code": status, "message": message}]}
    if lane == "cerebras":
        return {"message": message, "type": kind, "param": None, "code": kind}
    return {"error": {"message": message, "type": kind, "code": kind}}


OUT_OF_QUOTA = {
    "cerebras": (402, "payment_required", "Payment required. Add credit to go on."),
    "gemini": (429, "resource_exhausted", "You exceeded your current quota: generate requests per day."),
    "cloudflare": (429, "quota", "You have used up your daily free allocation of 10,000 neurons."),
    "groq": (429, "rate_limit_exceeded", "Rate limit reached on tokens per day (TPD): Limit 200000."),
    "anthropic": (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    "slack": (429, "rate_limited", "rate_limited"),
}


def fault(lane: Lane, request: Request) -> Reply | None:
    """The refusal that the lane's mode (or a request without a key) calls for, in the provider's words."""
    if lane.mode == "rate-limited":
        words = complaint(lane.name, 429, "rate_limit_error", "Too many requests: slow down.")
        return reply(words, 429, retry_after=f"{lane.retry_after:g}")
    if lane.mode == "out-of-quota":
        status, kind, message = OUT_OF_QUOTA[lane.name]
        return reply(complaint(lane.name, status, kind, message), status)
    if lane.mode == "broken":
        return reply(complaint(lane.name, lane.status, "api_error", "Something went wrong on our side."), lane.status)
    if lane.mode == "unauthorized" or (lane.name != "slack" and not request.key):
        return reply(complaint(lane.name, 401, "authentication_error", "The API key is missing or wrong."), 401)
    return None


# ---- lanes and their doors -----------------------------------------------------------------------------------------


@dataclass
class Lane:
    """One provider: where it listens and how it feels. `gap_s` is the pause between two pieces of a stream."""

    name: str
    port: int
    mode: str = "healthy"
    seconds: float = 5.0
    retry_after: float = 20.0
    status: int = 503
    gap_s: float = 0.0
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    def state(self) -> dict[str, Body]:
        """What the control door tells."""
        return {name: getattr(self, name) for name in ("port", "mode", "seconds", "retry_after", "status", "gap_s")}

    def set(self, wanted: Mapping[str, Body]) -> None:
        """A mode and its numbers; what is not given goes back to its default. Raises ValueError in one sentence."""
        numbers = {"seconds": 5.0, "retry_after": 20.0, "status": 503, "gap_s": 0.0}
        if unknown := sorted(set(wanted) - set(numbers) - {"mode"}):
            raise ValueError(f"{unknown[0]!r} is not known (mode, {', '.join(numbers)})")
        if (mode := wanted.get("mode", "healthy")) not in MODES:
            raise ValueError(f"mode {mode!r} is not known ({', '.join(MODES)})")
        for name, default in numbers.items():
            value = wanted.get(name, default)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                raise ValueError(f"{name} = {value!r} is not a number of 0 or more")
            setattr(self, name, type(default)(value))
        self.mode = mode

    def hang_up(self) -> None:
        """Drop every open connection, as a machine that goes away does."""
        for writer in list(self.writers):
            writer.transport.abort()
        self.hung_up.set()
        self.hung_up = asyncio.Event()

    async def stall(self) -> NoReturn:
        """Say nothing until the connection is dropped from our side."""
        await self.hung_up.wait()
        raise ConnectionResetError


class Clouds:
    """All lanes, their log and the control door. Port 0 lets the system choose (then read `lanes[...].port`)."""

    def __init__(
        self, host: str = "0.0.0.0", ports: Mapping[str, int] = PORTS, control_port: int = CONTROL_PORT
    ) -> None:
        self.host = host
        self.lanes = {name: Lane(name, port) for name, port in ports.items()}
        self.control_port = control_port
        self.log: deque[dict[str, Body]] = deque(maxlen=5000)
        self._control: asyncio.Server | None = None

    async def start(self) -> None:
        """Open every door. Raises OSError when a port is taken."""
        for lane in self.lanes.values():
            await self._open(lane)
        self._control = await asyncio.start_server(self._serve_control, self.host, self.control_port)
        self.control_port = self._control.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every door."""
        for lane in self.lanes.values():
            self._close(lane)
        if self._control:
            self._control.close()

    async def _open(self, lane: Lane) -> None:
        if lane.server is None:
            lane.server = await asyncio.start_server(
                lambda reader, writer: self._serve_lane(lane, reader, writer), self.host, lane.port
            )
            lane.port = lane.server.sockets[0].getsockname()[1]

    def _close(self, lane: Lane) -> None:
        if lane.server is not None:
            lane.server.close()
            lane.server = None
        lane.hang_up()

    async def set(self, lane: Lane, wanted: Mapping[str, Body]) -> None:
        """Give a lane its mode; connections that hang in the old one are dropped."""
        before = lane.mode
        lane.set(wanted)
        if before.startswith("stalled"):
            lane.hang_up()
        if lane.mode == "refusing":
            self._close(lane)
        else:
            await self._open(lane)

    # -- a lane

    async def _serve_lane(self, lane: Lane, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lane.writers.add(writer)
        try:
            async for request in requests_of(reader):
                self._record(lane, request)
                await self._answer(lane, request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller hung up, or we did on purpose
        except ValueError as error:
            await send(writer, reply({"error": str(error)}, 400))
        finally:
            lane.writers.discard(writer)
            writer.close()

    def _record(self, lane: Lane, request: Request) -> None:
        self.log.append(
            {
                "t": time.time(),
                "lane": lane.name,
                "mode": lane.mode,
                "method": request.method,
                "path": request.path,
                "key": fingerprint(request.key),
                "user_agent": request.headers.get("user-agent"),
                "stream": request.wants_stream,
                "body": request.body,
            }
        )

    async def _answer(self, lane: Lane, request: Request, writer: asyncio.StreamWriter) -> None:
        if lane.mode == "stalled":
            await lane.stall()
        if lane.mode == "slow":
            await asyncio.sleep(lane.seconds)
        answer = fault(lane, request) or VOICES[lane.name](lane.name, request)
        broken_off = lane.mode.endswith("-midstream") and answer.status == 200
        await send(writer, answer, gap_s=lane.gap_s, half=broken_off)
        if broken_off:
            if lane.mode == "stalled-midstream":
                await lane.stall()
            await asyncio.sleep(TIME_TO_ARRIVE_S)
            writer.transport.abort()
            raise ConnectionResetError

    # -- the control door

    async def _serve_control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for request in requests_of(reader):
                await send(writer, await self._obey(request))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except ValueError as error:
            await send(writer, reply({"error": str(error)}, 400))
        finally:
            writer.close()

    async def _obey(self, request: Request) -> Reply:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["health"]:
                return reply({"status": "ok"})
            case "GET", ["lanes"]:
                return reply(self._states())
            case "GET", ["log"]:
                only = request.query.get("lane")
                return reply([each for each in self.log if not only or each["lane"] in only])
            case "DELETE", ["log"]:
                self.log.clear()
                return reply({})
            case "POST", ["reset"]:
                for lane in self.lanes.values():
                    await self.set(lane, {})
                self.log.clear()
                return reply(self._states())
            case "POST", ["lane", name]:
                return await self._set_by_name(name, request.body)
        return reply({"error": f"{request.method} {request.path} is not known here"}, 404)

    async def _set_by_name(self, name: str, wanted: Body) -> Reply:
        if name not in self.lanes:
            return reply({"error": f"lane {name!r} is not known ({', '.join(self.lanes)})"}, 404)
        if not isinstance(wanted, dict):
            return reply({"error": 'the body must be JSON such as {"mode": "stalled"}'}, 400)
        try:
            await self.set(self.lanes[name], wanted)
        except ValueError as error:
            return reply({"error": str(error)}, 400)
        return reply(self.lanes[name].state())

    def _states(self) -> Body:
        return {name: lane.state() for name, lane in self.lanes.items()}


# ---- HTTP/1.1, as much as its callers speak ------------------------------------------------------------------------


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


async def _main(host: str) -> None:
    clouds = Clouds(host)
    await clouds.start()
    print(f"clouds: {', '.join(f'{name} {lane.port}' for name, lane in clouds.lanes.items())}", flush=True)
    print(f"clouds: control {clouds.control_port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The lab's cloud lanes and Slack.")
    parser.add_argument("--host", default="0.0.0.0", help="address to bind (default: all)")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(parser.parse_args().host))
