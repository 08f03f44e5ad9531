"""What each provider says, in its own wire format."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping

from .http import SSE, Body, Reply, Request, reply


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
