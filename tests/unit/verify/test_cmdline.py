"""Commands for cmd.exe, and what they said; requests for curl, whose secrets travel in its input."""

from __future__ import annotations

import pytest

from tests.verify import parse
from tests.verify.cmdline import (
    LONGEST_LINE,
    Request,
    code_page,
    configurations,
    decoded,
    key_of,
    lines,
    replies,
    transcript,
)


def test_commands_go_together_as_long_as_cmd_takes_them() -> None:
    commands = {str(number): "type " + "x" * 900 for number in range(30)}
    found = lines(commands, "mark")
    assert 1 < len(found) < 10
    assert all(len(line) <= LONGEST_LINE for line in found)
    assert [line.count("echo mark out") for line in found] == [line.count("echo mark good") for line in found]
    assert sum(line.count("echo mark out") for line in found) == 30


def test_no_commands_are_no_line() -> None:
    assert lines({}, "mark") == []


def test_what_each_command_said() -> None:
    raw = b'mark out one\r\n{"a": 1}mark good one\r\nmark out two\r\nFEHLER: \x84 nicht da\r\nmark bad two \r\n'
    raw += b"mark out three\r\nhalf"
    found = transcript(raw, "mark", "cp850")
    assert found == {
        "one": parse.Said(0, '{"a": 1}', ""),
        "two": parse.Said(1, "FEHLER: ä nicht da\n", "FEHLER: ä nicht da\n"),
    }


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("ABHÖREN\r\n".encode("cp850"), "ABHÖREN\n"),
        ("ABHÖREN\r\n".encode(), "ABHÖREN\n"),
        ("litellm\r\nD:P\r\n".encode("utf-16-le"), "litellm\nD:P\n"),
        (b"\xff\xfe" + "litellm\r\n".encode("utf-16-le"), "litellm\n"),
        (b"\xef\xbb\xbfa", "a"),
        (b"", ""),
    ],
)
def test_encodings(raw: bytes, text: str) -> None:
    assert decoded(raw, "cp850") == text


@pytest.mark.parametrize(
    ("said", "page"),
    [  # R
        ("Active code page: 437\n", "cp437"),
        ("Aktive Codepage: 850.\n", "cp850"),
        ("65001", "utf-8"),
        ("", "utf-8"),
    ],
)
def test_the_machines_code_page(said: str, page: str) -> None:
    assert code_page(said) == page


def test_keys_go_in_curls_input_and_in_no_line() -> None:
    request = Request("http://127.0.0.1:4000/v1/models", 'sk-"quoted"\\', '{"a": "b"}')
    (config,) = configurations({"models": request}, "mark")
    assert 'header = "Authorization: Bearer sk-\\"quoted\\"\\\\"\n' in config
    assert 'data = "{\\"a\\": \\"b\\"}"\n' in config
    assert 'noproxy = "*"\n' in config


def test_many_requests_stay_under_what_a_pipe_takes() -> None:
    found = configurations({str(number): Request("http://x", "k" * 100) for number in range(40)}, "mark")
    assert all(len(each.encode()) <= 4000 for each in found)
    assert sum(each.count('url = "http://x"') for each in found) == 40


def test_replies_of_curl() -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}\n127.0.0.1\nmark 0 one \n"
        b"\n\nmark 7 two Failed to connect to 127.0.0.1 port 1\n"
    )
    found = {name: parse.reply(said) for name, said in replies(raw, "mark").items()}
    assert (found["one"].status, found["one"].document, found["one"].address) == (200, {}, "127.0.0.1")
    assert (found["two"].status, found["two"].trouble) == (0, "Failed to connect to 127.0.0.1 port 1")


@pytest.mark.parametrize(
    ("text", "value"),
    [("A=1\nKEY='sk-1'\n", "sk-1"), ('KEY="x y"', "x y"), ("KEY=plain \n", "plain"), ("OTHER=1", ""), ("KEY='", "'")],
)
def test_a_key_of_the_gateways_file(text: str, value: str) -> None:
    assert key_of(text, "KEY") == value
