"""Other programs of the machine: started without a shell, with pipes of their own, never talking into our answer."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import threading
from typing import IO, Any, Callable, Mapping, NamedTuple, Optional, Sequence

NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # a word that only Windows has
LAST_WORDS_S = 5.0  # for what is still on its way when the program itself has ended
BLOCK = 1 << 16

Ended = tuple[int, bytes, bytes]  # exit code, and what came on stdout and stderr
NOTHING: Mapping[str, str] = {}

# Where Windows' installers put what we ask for: a session's PATH may be older than they are. (variable, folder in it)
INSTALLED = (("SYSTEMROOT", "System32"), ("PROGRAMFILES", "Tailscale"))


def find(name: str) -> Optional[str]:
    """A program's path, or None where there is none."""
    places = [os.path.join(os.environ[where], folder) for where, folder in INSTALLED if where in os.environ]
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath)]))


class Done(NamedTuple):
    """How a program ended: its exit code and what it said, as text."""

    code: int
    out: str
    err: str

    def why(self) -> str:
        """Its last words, as a reason."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


def run(arguments: Sequence[str], timeout_s: float = 300, environment: Mapping[str, str] = NOTHING) -> Done:
    """Run to its end, with `environment` on top of ours.

    Raises OSError when there is no such program; after `timeout_s` it is killed: code 124.
    """
    try:
        code, out, err = ended(arguments, timeout_s, env={**os.environ, **environment})
    except TimeoutError as error:
        return Done(124, "", str(error.strerror))
    return Done(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def ended(
    arguments: Sequence[str], timeout_s: float, quiet: bool = False, env: Optional[Mapping[str, str]] = None
) -> Ended:
    """Run to its end: exit code and raw bytes of both streams, none of them when `quiet`.

    What it leaves running is not waited for, though that may hold its streams open. Raises OSError when there is no
    such program, TimeoutError after `timeout_s`: then it is ended, on Windows with all that it started.
    """
    streams = subprocess.DEVNULL if quiet else subprocess.PIPE
    process = subprocess.Popen(
        list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=streams,
        stderr=streams,
        env=env,
        creationflags=NO_WINDOW,
    )
    said = [(process.stdout, bytearray()), (process.stderr, bytearray())]
    pumps = [threading.Thread(target=pump, args=(stream, into.extend), daemon=True) for stream, into in said if stream]
    for each in pumps:
        each.start()
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        _end(process)
        raise TimeoutError(errno.ETIMEDOUT, f"{arguments[0]} did not end within {timeout_s:g} s") from None
    for each in pumps:
        each.join(LAST_WORDS_S)
    return code, bytes(said[0][1]), bytes(said[1][1])


def pump(stream: IO[bytes], into: Callable[[bytes], object]) -> None:
    """Hand on what comes, as it comes, until the last one that holds the stream is gone."""
    with stream:
        for block in iter(lambda: os.read(stream.fileno(), BLOCK), b""):
            into(block)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Children first: once it is gone, Windows no longer knows whose they were."""
    taskkill = os.path.join(os.environ.get("SYSTEMROOT", ""), "System32", "taskkill.exe")
    if NO_WINDOW and os.path.exists(taskkill):
        order = [taskkill, "/T", "/F", "/PID", str(process.pid)]
        nobody: Any = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        _await(subprocess.Popen(order, creationflags=NO_WINDOW, **nobody))
    process.kill()
    _await(process)


def _await(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):  # it hangs in a driver: nobody can end it
        process.wait(LAST_WORDS_S)
