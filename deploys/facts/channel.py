"""Commands and files over the connection that pyinfra's SSH connector holds, for a machine that speaks no UTF-8.

Windows' own programs answer in the console's code page, which pyinfra's reader does not survive. Nothing here opens a
connection of its own.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import stat
from typing import Any

from paramiko import SSHException
from paramiko.sftp_client import SFTPClient
from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError


class Unreachable(Exception):
    """The machine cannot be worked with: one sentence."""


BROKEN = (OSError, EOFError, SSHException)
SILENCE_S = 60.0  # a network that goes without a word
NO_STATUS = -1  # paramiko's own: the channel was closed before one came


def broke(error: BaseException) -> Unreachable:
    return Unreachable(f"the connection broke ({type(error).__name__}: {error}): converge again")


def is_gone(host: Host, error: OSError) -> bool:
    """Whether that error of SFTP tells of the connection, not of a file."""
    transport = _connector(host).client.get_transport()
    return isinstance(error, TimeoutError) or transport is None or not transport.is_active()


def run(host: Host, line: str, stdin: str, timeout_s: int | None = None) -> tuple[bool, str, str]:
    """One exec on the one connection. (ok, stdout, stderr); what is no UTF-8 comes as replacement signs."""
    try:
        channel = _connector(host).client.get_transport().open_session()
        with contextlib.closing(channel):
            channel.settimeout(timeout_s)
            channel.exec_command(line)
            with contextlib.suppress(OSError):  # it ended before it had read everything: it may have said why
                channel.sendall(f"{stdin}\n".encode())
                channel.shutdown_write()
            out = b"".join(iter(lambda: channel.recv(1 << 16), b""))
            said = b"".join(iter(lambda: channel.recv_stderr(1 << 16), b""))
            status = channel.recv_exit_status()
            if status == NO_STATUS and not out:
                raise EOFError("it ended in the middle")
            return status == 0, out.decode(errors="replace"), said.decode(errors="replace")
    except BROKEN as error:
        raise broke(error) from error


def _connector(host: Host) -> Any:
    connector = host.connector
    if getattr(connector, "client", None) is None:
        raise Unreachable("an agent with a runtime of its own is brought over SSH only: use the ssh connector for it")
    return connector


class Files:
    """The machine's files by SFTP. Paths in the machine's own form; raises OSError as paramiko does."""

    def __init__(self, host: Host) -> None:
        try:
            self.sftp: SFTPClient = _connector(host).get_file_transfer_connection()
        except BROKEN as error:
            raise broke(error) from error
        except ConnectError as error:  # pyinfra's word for whatever SSH said
            fix = "converge again; if it stays, see the line `Subsystem sftp sftp-server.exe` in its sshd_config"
            raise Unreachable(f"its sshd gives no SFTP ({last_line(str(error.__cause__ or error))}): {fix}") from error
        self.sftp.get_channel().settimeout(SILENCE_S)

    @staticmethod
    def name(path: str) -> str:
        """C:\\x as SFTP has it: /C:/x"""
        return "/" + path.replace("\\", "/").lstrip("/")

    def exists(self, path: str) -> bool:
        try:
            self.sftp.stat(self.name(path))
        except FileNotFoundError:
            return False
        return True

    def listed(self, path: str) -> dict[str, int | None]:
        """{name: size in bytes, None for a folder}"""
        entries = self.sftp.listdir_attr(self.name(path))
        return {each.filename: None if stat.S_ISDIR(each.st_mode or 0) else each.st_size or 0 for each in entries}

    def make(self, path: str) -> bool:
        """A folder. False when there was one."""
        try:
            self.sftp.mkdir(self.name(path))
        except PermissionError:
            raise
        except OSError:  # "Failure" is all that it says of a folder that is there
            if not self.exists(path):
                raise
            return False
        return True

    def put(self, content: bytes, path: str) -> None:
        """A new file. Raises OSError when not all of it came to lie there."""
        self.sftp.putfo(io.BytesIO(content), self.name(path), file_size=len(content))

    def get(self, path: str) -> bytes:
        into = io.BytesIO()
        self.sftp.getfo(self.name(path), into)
        return into.getvalue()

    def open(self, path: str) -> Any:
        return self.sftp.open(self.name(path), "rb")

    def move(self, source: str, target: str) -> None:
        """Atomic, over a file of the target's name."""
        self.sftp.posix_rename(self.name(source), self.name(target))

    def discard(self, path: str) -> None:
        """Remove a file, or a folder with all that is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISDIR(self.sftp.stat(self.name(path)).st_mode or 0):
                self.sftp.remove(self.name(path))
                return
            for name in self.listed(path):
                self.discard(f"{path}\\{name}")
            self.sftp.rmdir(self.name(path))

    def try_to_discard(self, path: str) -> None:
        """Leave it when somebody has it open."""
        with contextlib.suppress(OSError):
            self.discard(path)


def whole(out: str) -> dict[str, Any] | None:
    """The answer, or None: only a whole document counts, whatever the exit code says."""
    try:
        answer = json.loads(out)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def last_line(text: str) -> str:
    """An answer after what a profile of PowerShell says; the reason after a program's many words."""
    lines = [each.strip() for each in text.splitlines() if each.strip()]
    return lines[-1] if lines else ""


def why(error: OSError) -> str:
    """An error of SFTP in words: its own are one of three."""
    if error.errno == errno.EACCES:
        return "Windows does not permit it"
    return "Windows gives no reason: the disk may be full, or the file in use" if error.errno is None else str(error)
