"""What it is all for: an answer, asked from every client over the tailnet."""

from __future__ import annotations

import json
from typing import Any

from . import parse
from .each import each, questions, where
from .machine import Machine, Question
from .parse import Reply
from .saying import must, must_be, shown


@each("question", questions)
def test_client_gets_an_answer(machine: Machine, question: Question) -> None:
    reply = machine.answers[question]
    url = machine.expected["brain"]["gateway_url"]
    must(
        reply.status == 200 and not reply.trouble,
        f"{machine.name}: route {question.route} at {url} gives {reply}, wanted an answer",
    )
    must(
        parse.is_tailnet(reply.address),
        f"{machine.name}: {url} leads to {reply.address}, wanted an address of the tailnet",
    )
    if question.stream:
        must_be_a_whole_stream(machine, question, reply)
    else:
        thing = f"{machine.name}: the answer of route {question.route}"
        must(reply.at("choices", 0, "message", "content"), f"{thing} is empty, wanted words")
        must(reply.at("choices", 0, "finish_reason"), f"{thing} has no finish_reason")


def must_be_a_whole_stream(machine: Machine, question: Question, reply: Reply) -> None:
    """More than one piece, no error in mid-stream, and an end that says so."""
    thing = f"{machine.name}: the stream of route {question.route}"
    broken = [each["error"] for each in reply.events if "error" in each]
    must(not broken, f"{thing} broke off with {json.dumps(broken)}, wanted a whole answer")
    choices = [each["choices"][0] for each in reply.events if each.get("choices")]
    pieces = [each["delta"]["content"] for each in choices if each["delta"].get("content")]
    must(len(pieces) > 1, f"{thing} came in {len(pieces)} pieces, wanted more than one")
    must(any(each.get("finish_reason") for each in choices), f"{thing} has no finish_reason, wanted its end")


@where("brain")
def test_brain_answers(machine: Machine, brain: dict[str, Any]) -> None:
    said = machine.brain
    must(said, f"{machine.name}: brain was not asked")
    if said:
        thing = f"{machine.name}: brain, run as {brain['user']},"
        must(said.code == 0, f"{thing} ends with exit code {said.code} ({said.trouble}), wanted an answer")
        answer = parse.Reply(200, body=said.out)
        must(str(answer.at("text") or "").strip(), f"{thing} says nothing ({said.out[:200]!r}), wanted an answer")
        must(
            answer.at("patio") is False,
            f"{thing} was answered by {shown(answer.at('model'))} of the machine itself, wanted {brain['gateway_url']}",
        )
        must_be(machine.name, "the route that brain asks by itself", answer.at("route"), brain["route"])
