"""SSH without the 40 ms that a delayed acknowledgement costs on every command, without losing what a pipe is too full
to take, and without waiting for what has ended.

Neither paramiko nor pyinfra sets TCP_NODELAY; on a LAN that wait is most of a command's time (56 ms down to 4).
Under pyinfra's gevent a write to a ProxyCommand's pipe may take a part only, and paramiko takes it for all: the stream
is broken then, and the machine hangs up in the middle of anything large. And when a ProxyCommand has ended, as it does
when the road it is breaks off, paramiko takes that for silence and waits for ever.
"""

from __future__ import annotations

import functools
import os
import select
import socket
from typing import Any

import paramiko


def low_latency(sock: socket.socket | paramiko.ProxyCommand, **options: Any) -> paramiko.Transport:
    """A transport factory for `ssh_paramiko_connect_kwargs`."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        sock.send = functools.partial(_send_whole, sock)  # type: ignore[method-assign]
        sock.recv = functools.partial(_receive, sock)  # type: ignore[method-assign]
    return paramiko.Transport(sock, **options)


def _send_whole(proxy: paramiko.ProxyCommand, content: bytes) -> int:
    """Every byte into the command's pipe, however little it takes at a time. Raises OSError when it is gone."""
    pipe, rest = proxy.process.stdin, memoryview(content)
    assert pipe is not None
    while rest:
        rest = rest[pipe.write(rest) or 0 :]
    return len(content)


def _receive(proxy: paramiko.ProxyCommand, size: int) -> bytes:
    """What is there of it, at least one byte; none when the command has ended. Raises TimeoutError."""
    pipe = proxy.process.stdout
    assert pipe is not None
    ready, _, _ = select.select([pipe], [], [], proxy.timeout)
    if not ready:
        raise TimeoutError
    return os.read(pipe.fileno(), size)
