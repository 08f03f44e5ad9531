"""The name server that knows no name, asked as a resolver asks."""

import struct

import pytest

from tests.lab.names import no_such_name

QUESTION = b"\x07example\x03com\x00" + struct.pack("!HH", 1, 1)
QUERY = struct.pack("!6H", 0xBEEF, 0x0100, 1, 0, 0, 0) + QUESTION


def test_there_is_no_such_name() -> None:
    answer = no_such_name(QUERY)
    assert answer is not None
    number, flags, questions, answers, *_ = struct.unpack_from("!6H", answer)
    assert (number, questions, answers) == (0xBEEF, 1, 0)
    assert flags & 0x8000
    assert flags & 0x000F == 3
    assert answer[12:] == QUESTION


def test_what_a_resolver_adds_to_its_question_is_left_out_of_the_answer() -> None:
    extended = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 1) + QUESTION + b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
    answer = no_such_name(extended)
    assert answer is not None
    assert answer[12:] == QUESTION


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"short", QUERY[:14], QUERY[:2] + b"\x80\x00" + QUERY[4:], QUERY[:12] + b"\xc0\x0c\x00\x01\x00\x01"],
    ids=["empty", "short", "cut", "an answer", "a pointer"],
)
def test_nonsense_gets_no_answer(nonsense: bytes) -> None:
    assert no_such_name(nonsense) is None
