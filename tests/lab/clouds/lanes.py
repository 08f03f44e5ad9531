"""The lanes with their moods, and the doors: one for each lane, one to control them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from .http import Body, Reply, Request, reply, requests_of, send
from .providers import OUT_OF_QUOTA, VOICES, complaint

PORTS = {"cerebras": 9001, "gemini": 9002, "cloudflare": 9003, "groq": 9004, "anthropic": 9005, "slack": 9006}
CONTROL_PORT = 9900
MODES = (
    *("healthy", "slow", "stalled", "rate-limited", "out-of-quota", "unauthorized", "broken"),
    *("cut-midstream", "stalled-midstream", "refusing"),
)
TIME_TO_ARRIVE_S = 0.2  # a reset at once would take back what the caller has not read yet


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


def fingerprint(key: str | None) -> str | None:
    """Enough of a key's hash to tell two keys apart, and nothing of the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else None


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
