"""A pipe between programs of the stand-in machine: bytes as they are written, an end that may never come."""

from __future__ import annotations

import io
import threading


class Pipe(io.RawIOBase):
    """What a program reads as its standard input. `unread` counts what it has not taken yet."""

    def __init__(self, content: bytes | None = None) -> None:
        super().__init__()
        self._bytes = bytearray(content or b"")
        self._ended = content is not None
        self._changed = threading.Condition()

    @property
    def unread(self) -> int:
        return len(self._bytes)

    def feed(self, data: bytes) -> None:
        with self._changed:
            self._bytes.extend(data)
            self._changed.notify_all()

    def end(self) -> None:
        """No more will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def readable(self) -> bool:
        return True

    def take(self, most: int) -> bytes:
        """What is there, at most so much; b"" at the end. Waits for the first byte."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes or self._ended)
            taken = bytes(self._bytes[:most])
            del self._bytes[:most]
            return taken

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size >= 0:
            return self.take(size) if size else b""
        return b"".join(iter(lambda: self.take(1 << 16), b""))

    def readline(self, size: int | None = -1) -> bytes:
        """Up to and with the next newline, without waiting for more."""
        with self._changed:
            self._changed.wait_for(lambda: b"\n" in self._bytes or self._ended)
            cut = self._bytes.find(b"\n") + 1 or len(self._bytes)
            line = bytes(self._bytes[:cut])
            del self._bytes[:cut]
            return line
