"""The lab's name server: whatever name of the outside world is asked for, there is no such name, said at once.

Without it a machine that looks for the internet would wait for seconds before it learns that there is none. The names
that the lab does answer to stand in each machine's hosts file. Standard library only; runs in a bare container.
"""

from __future__ import annotations

import socketserver
import struct

HEADER = struct.Struct("!6H")
ANSWER, RECURSION_DESIRED, RECURSION_AVAILABLE, NO_SUCH_NAME = 0x8000, 0x0100, 0x0080, 3


def no_such_name(query: bytes) -> bytes | None:
    """The answer to a DNS query, or None if it is none."""
    if len(query) < HEADER.size:
        return None
    number, flags, questions, *_ = HEADER.unpack_from(query)
    end = _end_of_question(query)
    if flags & ANSWER or questions != 1 or end is None:
        return None
    answer_flags = ANSWER | (flags & RECURSION_DESIRED) | RECURSION_AVAILABLE | NO_SUCH_NAME
    return HEADER.pack(number, answer_flags, 1, 0, 0, 0) + query[HEADER.size : end]


def _end_of_question(query: bytes) -> int | None:
    """Where the one question ends: labels, each with its length before it, a zero, type and class."""
    place = HEADER.size
    while place < len(query) and query[place]:
        if query[place] > 63:  # a pointer: no question has one
            return None
        place += 1 + query[place]
    end = place + 5
    return end if end <= len(query) else None


class Handler(socketserver.BaseRequestHandler):
    """One datagram."""

    def handle(self) -> None:
        query, socket = self.request
        if answer := no_such_name(query):
            socket.sendto(answer, self.client_address)


if __name__ == "__main__":
    socketserver.ThreadingUDPServer(("0.0.0.0", 53), Handler).serve_forever()
