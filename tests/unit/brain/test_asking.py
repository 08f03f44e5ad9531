"""What goes in, what is sent, what comes out when all is well."""

from __future__ import annotations

import json
import random

import pytest

from .conftest import KEY, Brain
from .door import Door, Exchange, refusing, streaming


def test_the_words_reach_the_gateway_and_the_answer_comes_back(brain: Brain, gateway: Door) -> None:
    done = brain.run("hello", "there")
    assert (done.stdout, done.stderr, done.returncode) == ("Good morning, world.\n", "", 0)
    (asked,) = gateway.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.body["model"] == "default"
    assert asked.body["stream"] is True
    assert asked.question == "hello there"


@pytest.mark.parametrize(
    ("options", "route"),
    [
        (["--route", "code"], "code"),
        (["--route=code"], "code"),
        (["--private"], "private"),
        (["--premium"], "premium"),
        (["--private", "--route", "private"], "private"),
    ],
)
def test_an_option_names_the_route(brain: Brain, gateway: Door, options: list[str], route: str) -> None:
    assert brain.run(*options, "hello").returncode == 0
    assert gateway.asked[0].body["model"] == route


def test_words_come_first_then_the_piped_text(brain: Brain, gateway: Door) -> None:
    brain.run("explain", "this", stdin="line 1\r\nline 2\n")
    assert gateway.asked[0].question == "explain this\n\nline 1\r\nline 2"


def test_piped_text_alone_is_a_question(brain: Brain, gateway: Door) -> None:
    assert brain.run(stdin="why?\n").returncode == 0
    assert gateway.asked[0].question == "why?"


def test_after_two_dashes_everything_is_a_word(brain: Brain, gateway: Door) -> None:
    brain.run("--route", "code", "--", "--help", "-x")
    assert (gateway.asked[0].question, gateway.asked[0].body["model"]) == ("--help -x", "code")


CONTROLS = "".join(map(chr, (*range(1, 9), 11, 12, *range(14, 32), 127)))


@pytest.mark.parametrize(
    "text",
    [
        "\"quoted\" and 'quoted' \\ back\\\\slash \\n $HOME `id` $(id) & % %s",
        "line\nline\r\n\ttab",
        "déjà vu — 😀 漢字 \u2028",
        f"controls {CONTROLS} end",
        "*",
        "@/etc/hostname",
    ],
)
def test_text_arrives_as_it_was_given(brain: Brain, gateway: Door, text: str) -> None:
    assert brain.run("--", text).returncode == 0
    assert brain.run(stdin=text).returncode == 0
    assert [each.question for each in gateway.asked] == [text, text]


def test_bytes_that_are_no_text_are_replaced(brain: Brain, gateway: Door) -> None:
    assert brain.run(stdin=b"a\xff\xc3b\x00c").returncode == 0
    assert gateway.asked[0].question == "a\ufffd\ufffdbc"


def test_long_text_is_not_spoiled_at_any_boundary(brain: Brain, gateway: Door) -> None:
    text = "x" + 'é€😀\\"\n' * 30_000  # no multiple of any buffer
    assert brain.run("sum up", stdin=text.strip()).returncode == 0
    assert gateway.asked[0].question == "sum up\n\n" + text.strip()


def test_ten_megabytes_go_through(brain: Brain, gateway: Door) -> None:
    text = "2026-11-22 12:00:00 GET /index.html 200 0.005 s, from the cache of the day before\n" * 125_000
    assert brain.run("sum up", stdin=text, timeout_s=300).returncode == 0
    assert gateway.asked[0].question == "sum up\n\n" + text.rstrip("\n")


def test_a_word_may_be_as_long_as_the_system_allows(brain: Brain, gateway: Door) -> None:
    word = "w" * 131_000
    assert brain.run(word, word).returncode == 0
    assert gateway.asked[0].question == f"{word} {word}"


def test_an_answer_with_a_final_newline_gets_no_second_one(brain: Brain, gateway: Door) -> None:
    gateway.behaviour = streaming("one\n", "two\n")
    assert brain.run("hello").stdout == "one\ntwo\n"


def test_any_text_comes_back_unchanged(brain: Brain, gateway: Door) -> None:
    letters = "aé€😀\"\\\n\t %d$`'&"
    pieces = ["".join(random.Random(n).choices(letters, k=n + 1)) for n in range(60)]
    gateway.behaviour = streaming(*pieces, "end\n")
    assert brain.run("hello").stdout == "".join(pieces) + "end\n"


def test_carriage_returns_and_other_lines_of_a_stream_are_understood(brain: Brain, gateway: Door) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.line_end = "\r\n"
        exchange.open_stream()
        exchange.raw(": ping\r\n\r\nevent: message\r\nid: 1\r\nretry: 5\r\n")
        exchange.frame({"model": "tiny", "choices": [{"delta": {"role": "assistant", "content": None}}]})
        exchange.say("fine")
        exchange.raw('data:{"choices":[{"delta":{},"finish_reason":"stop"}]}\r\n\r\n')
        exchange.frame({"choices": [], "usage": {"total_tokens": 3}})
        exchange.done()

    gateway.behaviour = behave
    done = brain.run("hello")
    assert (done.stdout, done.stderr, done.returncode) == ("fine\n", "", 0)


def test_an_answer_that_is_no_stream_is_understood(brain: Brain, gateway: Door) -> None:
    whole = {"model": "tiny", "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}
    gateway.behaviour = refusing(200, whole)
    assert brain.run("hello").stdout == "whole\n"


def test_json_is_one_object(brain: Brain, gateway: Door) -> None:
    done = brain.run("--json", "--route", "code", "hello")
    answer = json.loads(done.stdout)
    assert 0 <= answer.pop("ms") < 20_000
    assert answer == {
        "text": "Good morning, world.",
        "lane": "cerebras",
        "model": "tiny",
        "fallbacks": 1,
        "route": "code",
        "patio": False,
        "finish_reason": "stop",
    }
    assert done.stdout.count("\n") == 1


def test_local_asks_this_machine_without_the_key(brain: Brain, gateway: Door, ollama: Door) -> None:
    done = brain.run("--local", "--json", "hello")
    assert gateway.asked == []
    assert ollama.asked[0].body["model"] == "gemma4:e4b"
    assert "Authorization" not in ollama.asked[0].headers
    assert json.loads(done.stdout)["text"] == "Good morning, world."


def test_no_proxy_and_no_curlrc_come_between(brain: Brain, gateway: Door) -> None:
    (brain.home / ".curlrc").write_text("verbose\nfail\nproxy = http://127.0.0.1:9\n")
    brain.environment = dict.fromkeys(("http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    assert brain.run("hello").returncode == 0
    assert len(gateway.asked) == 1


def test_a_url_with_v1_and_a_slash_is_the_same_door(brain: Brain, gateway: Door) -> None:
    brain.values["gateway_url"] = gateway.url + "/v1/"
    brain.write_settings()
    assert brain.run("hello").returncode == 0
    assert gateway.asked[0].path == "/v1/chat/completions"


def test_version_and_help_need_nothing(brain: Brain) -> None:
    brain.settings.unlink()
    assert brain.run("--version").stdout.startswith("brain ")
    done = brain.run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for code in ("0 answered", "1 usage", "2 nobody", "3 refused", "4 broken off", "5\nserver", "130", "141"):
        assert code.replace("\n", " ") in done.stdout.replace("\n", " ")
