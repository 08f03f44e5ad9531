"""tests/lab/clouds: the lanes that the lab's gateway talks to, over real sockets."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.lab.clouds.lanes import PORTS, Clouds

KEYS = {"gemini": {"x-goog-api-key": "secret-key"}, "anthropic": {"x-api-key": "secret-key"}}
PATHS = {
    **dict.fromkeys(("cerebras", "cloudflare", "groq"), "/v1/chat/completions"),
    "gemini": "/v1beta/models/gemini-x:generateContent",
    "anthropic": "/v1/messages",
}
LANES = list(PATHS)


class Door:
    """A lab's clouds on ports of the system's choice, with plain HTTP in front."""

    def __init__(self, clouds: Clouds) -> None:
        self.clouds = clouds

    def control(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(method, f"http://127.0.0.1:{self.clouds.control_port}{path}", json=body, timeout=5)

    def mode(self, lane: str, mode: str, **numbers: float) -> None:
        assert self.control("POST", f"/lane/{lane}", {"mode": mode, **numbers}).status_code == 200

    def ask(self, lane: str, stream: bool = False, **options: Any) -> requests.Response:
        path = PATHS[lane]
        if stream and lane == "gemini":
            path = path.replace("generateContent", "streamGenerateContent") + "?alt=sse"
        headers = KEYS.get(lane, {"authorization": "Bearer secret-key"})
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        url = f"http://127.0.0.1:{self.clouds.lanes[lane].port}{path}"
        return requests.post(url, json=body, **{"headers": headers, "timeout": 5, **options})


@pytest.fixture(scope="module")
def running() -> Iterator[Door]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    clouds = Clouds("127.0.0.1", dict.fromkeys(PORTS, 0), 0)
    asyncio.run_coroutine_threadsafe(clouds.start(), loop).result(5)
    yield Door(clouds)
    asyncio.run_coroutine_threadsafe(clouds.stop(), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)


@pytest.fixture
def door(running: Door) -> Door:
    running.control("POST", "/reset")
    return running


def words(answer: requests.Response, lane: str) -> str:
    """The text of an answer in the lane's own format."""
    body = answer.json()
    if lane == "gemini":
        return str(body["candidates"][0]["content"]["parts"][0]["text"])
    if lane == "anthropic":
        return str(body["content"][0]["text"])
    return str(body["choices"][0]["message"]["content"])


def streamed(answer: requests.Response, lane: str) -> str:
    """The text of a stream in the lane's own format."""
    frames = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    if lane == "gemini":
        return "".join(frame["candidates"][0]["content"]["parts"][0]["text"] for frame in frames)
    if lane == "anthropic":
        return "".join(frame["delta"].get("text", "") for frame in frames if frame["type"] == "content_block_delta")
    return "".join(choice["delta"].get("content", "") for frame in frames for choice in frame["choices"])


@pytest.mark.parametrize("lane", LANES)
def test_every_lane_answers_in_its_own_format_and_names_itself(door: Door, lane: str) -> None:
    sentence = f"{lane.capitalize()} answers, playing its part in the lab."
    assert words(door.ask(lane), lane) == sentence
    assert streamed(door.ask(lane, stream=True), lane) == sentence


def test_the_log_tells_keys_apart_and_gives_none_away(door: Door) -> None:
    door.ask("gemini")
    door.ask("cerebras", headers={"authorization": "Bearer another-key"})
    log = door.control("GET", "/log").json()
    assert [entry["lane"] for entry in log] == ["gemini", "cerebras"]
    assert len({entry["key"] for entry in log}) == 2
    assert "secret-key" not in json.dumps(log)
    assert "another-key" not in json.dumps(log)
    assert [entry["lane"] for entry in door.control("GET", "/log?lane=gemini").json()] == ["gemini"]
    door.control("DELETE", "/log")
    assert door.control("GET", "/log").json() == []


@pytest.mark.parametrize("lane", LANES)
def test_a_request_without_a_key_is_refused(door: Door, lane: str) -> None:
    assert door.ask(lane, headers={}).status_code == 401


@pytest.mark.parametrize(("mode", "status"), [("rate-limited", 429), ("unauthorized", 401), ("broken", 503)])
@pytest.mark.parametrize("lane", LANES)
def test_refusals(door: Door, lane: str, mode: str, status: int) -> None:
    door.mode(lane, mode)
    assert door.ask(lane).status_code == status
    assert door.ask(lane, stream=True).status_code == status


def test_numbers_of_a_mode(door: Door) -> None:
    door.mode("groq", "rate-limited", retry_after=7)
    assert door.ask("groq").headers["retry-after"] == "7"
    door.mode("groq", "broken", status=500)
    assert door.ask("groq").status_code == 500
    door.mode("groq", "slow", seconds=0.3)
    start = time.monotonic()
    assert door.ask("groq").status_code == 200
    assert time.monotonic() - start >= 0.3


@pytest.mark.parametrize(
    ("lane", "status"), [("cerebras", 402), ("gemini", 429), ("cloudflare", 429), ("groq", 429), ("anthropic", 400)]
)
def test_out_of_quota_in_each_providers_way(door: Door, lane: str, status: int) -> None:
    door.mode(lane, "out-of-quota")
    assert door.ask(lane).status_code == status


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("lane", LANES)
def test_cut_in_mid_stream(door: Door, lane: str, stream: bool) -> None:
    door.mode(lane, "cut-midstream")
    with pytest.raises(requests.exceptions.RequestException) as caught:
        door.ask(lane, stream=stream)
    assert not isinstance(caught.value, requests.exceptions.Timeout)


def test_stalled_says_nothing_until_it_is_reset(door: Door) -> None:
    door.mode("cerebras", "stalled")
    with pytest.raises(requests.exceptions.ReadTimeout):
        door.ask("cerebras", timeout=0.3)
    waiting = threading.Timer(0.2, lambda: door.control("POST", "/reset"))
    waiting.start()
    with pytest.raises(requests.exceptions.ConnectionError):
        door.ask("cerebras")
    assert door.ask("cerebras").status_code == 200


def test_stalled_in_mid_stream_begins_and_then_says_nothing(door: Door) -> None:
    door.mode("anthropic", "stalled-midstream")
    url = f"http://127.0.0.1:{door.clouds.lanes['anthropic'].port}{PATHS['anthropic']}"
    with requests.post(url, json={"stream": True}, headers=KEYS["anthropic"], stream=True, timeout=0.5) as answer:
        lines = answer.iter_lines()
        assert b"message_start" in next(lines)
        with pytest.raises(requests.exceptions.ConnectionError, match="timed out"):
            list(lines)


def test_refusing_connections_and_coming_back(door: Door) -> None:
    door.mode("gemini", "refusing")
    with pytest.raises(requests.exceptions.ConnectionError, match="refused"):
        door.ask("gemini")
    assert door.ask("groq").status_code == 200
    door.mode("gemini", "healthy")
    assert door.ask("gemini").status_code == 200


def test_connections_are_kept_open_between_requests(door: Door) -> None:
    with requests.Session() as session:
        url = f"http://127.0.0.1:{door.clouds.lanes['groq'].port}/openai/v1/models"
        for _ in range(3):
            assert session.get(url, headers={"authorization": "Bearer k"}, timeout=5).json()["object"] == "list"


def test_the_ways_to_prove_a_key_without_spending(door: Door) -> None:
    for lane, path in [
        ("gemini", "/v1beta/models"),
        ("anthropic", "/v1/models"),
        ("cloudflare", "/client/v4/user/tokens/verify"),
    ]:
        url = f"http://127.0.0.1:{door.clouds.lanes[lane].port}{path}"
        headers = KEYS.get(lane, {"authorization": "Bearer k"})
        assert requests.get(url, headers=headers, timeout=5).status_code == 200
        door.mode(lane, "unauthorized")
        assert requests.get(url, headers=headers, timeout=5).status_code == 401


def test_token_counts_and_slack(door: Door) -> None:
    url = f"http://127.0.0.1:{door.clouds.lanes['anthropic'].port}/v1/messages/count_tokens"
    counted = requests.post(url, json={"messages": []}, headers=KEYS["anthropic"], timeout=5).json()
    assert counted["input_tokens"] > 0
    hook = f"http://127.0.0.1:{door.clouds.lanes['slack'].port}/services/T/B/x"
    assert requests.post(hook, json={"text": "used gemini"}, timeout=5).text == "ok"
    assert requests.post(hook, json={"no": "text"}, timeout=5).status_code == 400
    assert door.control("GET", "/log?lane=slack").json()[0]["body"] == {"text": "used gemini"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/lane/nobody", {"mode": "healthy"}, 404),
        ("/lane/groq", {"mode": "asleep"}, 400),
        ("/lane/groq", {"mood": "good"}, 400),
        ("/lane/groq", {"mode": "slow", "seconds": -1}, 400),
        ("/lane/groq", "stalled", 400),
        ("/nothing", {}, 404),
    ],
)
def test_the_control_door_refuses_what_it_does_not_know(door: Door, path: str, body: Any, status: int) -> None:
    answer = door.control("POST", path, body)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_what_is_no_http_is_answered_and_closed(door: Door) -> None:
    async def knock() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.clouds.lanes["groq"].port)
        writer.write(b"\x16\x03\x01 nonsense\r\n\r\n")
        return await asyncio.wait_for(reader.read(), 5)

    assert asyncio.run(knock()).startswith(b"HTTP/1.1 400")
    assert door.control("GET", "/health").json() == {"status": "ok"}
