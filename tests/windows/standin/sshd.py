"""sshd as Windows OpenSSH is: keys only, cmd.exe between, a job around each session, its well-known faults.

Each rule's source is in the research of OpenSSH for Windows (see FIXTURES.md). Runs in a thread of its own.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import asyncssh
from asyncssh.packet import UInt32
from asyncssh.process import SSHServerProcess

from . import sshkeys
from .cmd import TOO_LONG
from .cmdline import LONGEST
from .pipes import Pipe
from .processes import Process
from .sftp import Sftp

if TYPE_CHECKING:
    from .machine import Machine

PIPE_BYTES = 4096
PENALTY_S, LEAST_S = 5.0, 15.0
DEFAULTS = r"HKLM\SOFTWARE\OpenSSH"
CMD = r"c:\windows\system32\cmd.exe"
FD_STATE = "c28fc6f98a2c44abbbd89d6a3037d0d9_POSIX_FD_STATE"
Server = asyncssh.SSHServerProcess[bytes]


@dataclass
class Manners:
    """What of its behaviour is by version, by setting, or by chance."""

    version: str = "9.5"
    from_github: bool = False
    loses_end: bool = False  # of any channel's stdin, always
    early_status: bool = False  # the exit status before the last data
    max_sessions: int = 10

    @property
    def banner(self) -> str:
        return f"OpenSSH_for_Windows_{self.version}" + (" Win32-OpenSSH-GitHub" if self.from_github else "")

    @property
    def punishes(self) -> bool:
        return tuple(int(each) for each in self.version.split("p")[0].split(".")[:2]) >= (9, 8)


@dataclass
class Session:
    """One running command of a connection."""

    pipe: Pipe = field(default_factory=Pipe)
    waits_for_reader: bool = False  # its client is done, its child has not read all
    lost_end: bool = False


class Connection(asyncssh.SSHServer):
    """One client. Its environment is taken once; its sessions stand still together."""

    def __init__(self, door: Sshd) -> None:
        self.door, self.machine = door, door.machine
        self.sessions: list[Session] = []
        self.open = 0
        self.user = self.peer = ""
        self.failures = 0
        self.welcome = False
        self.environment: dict[str, str] = {}
        self.cut: Callable[[], None] = lambda: None  # it breaks off, as a network that is gone

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.cut = conn.abort
        self.peer = str((conn.get_extra_info("peername") or ("?",))[0])

    def connection_lost(self, exc: Exception | None) -> None:
        if self.failures and not self.welcome:
            self.door.punish(self.peer)

    def begin_auth(self, username: str) -> bool:
        self.user = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        good = sshkeys.accepts(self.machine, username, key)
        self.failures += not good
        return good

    def auth_completed(self) -> None:
        self.welcome = True
        self.environment = self.machine.session() | {
            **{"USERNAME": self.machine.user, "USERPROFILE": rf"C:\Users\{self.machine.user}", "PROMPT": "$P$G"},
            **{"HOME": rf"C:\Users\{self.machine.user}", "SHELL": self.door.shell()[0], "SSH_CLIENT": self.peer},
            FD_STATE: "AAAA",
        }

    def session_requested(self) -> object:  # type: ignore[override]
        """One more session, or "open failed" when there are ten."""
        if self.open >= self.door.manners.max_sessions:
            return False
        self.open += 1
        return _Channel(self)

    async def free(self, own: Session) -> None:
        """A child that does not read stops all others: sshd waits, in its one thread, until it has."""
        while any(each is not own and each.pipe.unread > PIPE_BYTES for each in self.sessions):
            await asyncio.sleep(0.01)


class _Channel(SSHServerProcess):  # type: ignore[type-arg]
    def __init__(self, connection: Connection) -> None:
        super().__init__(
            lambda process: _serve(connection, process), lambda chan: Sftp(connection, cast(Any, chan)), 3, False
        )
        self.connection = connection

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.open -= 1
        super().connection_lost(exc)


async def _serve(connection: Connection, channel: Server) -> None:
    """An exec from its beginning to its status."""
    door, session = connection.door, Session()
    await connection.free(session)
    shell, line = door.composed(channel.command or "")
    if len(line) > LONGEST:
        said = door.machine.say(TOO_LONG).encode(door.machine.oem, "replace") + b"\r\n"
        channel.stderr.write(said)
        _status(channel, 1)
        channel.channel.close()
        return
    connection.sessions.append(session)
    loop, words = asyncio.get_running_loop(), asyncio.Queue[tuple[int, bytes] | None]()
    sinks = [_Sink(loop, words, 1), _Sink(loop, words, 2)]
    process = door.launch(connection, shell, line, session, sinks)
    reading = asyncio.ensure_future(_feed(connection, session, channel, process))
    try:
        await _speak(connection, session, channel, process, words)
    finally:
        reading.cancel()
        connection.sessions.remove(session)
        for each in connection.sessions:  # that a child ended interrupts who waits for a slow reader
            each.lost_end |= each.waits_for_reader


async def _feed(connection: Connection, session: Session, channel: Server, process: Process) -> None:
    """From the client into the child's pipe; then its end, if nothing comes between."""
    while True:
        try:
            data = await channel.stdin.read(1 << 15)
        except asyncssh.SignalReceived:  # TerminateProcess with 0; no exit-signal is ever sent
            connection.machine.processes.end(process, 0)
            continue
        except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
            continue
        if not data:
            break
        session.pipe.feed(data)
        while session.pipe.unread > 1 << 20 and process.alive:
            await asyncio.sleep(0.005)
    session.waits_for_reader = session.pipe.unread > PIPE_BYTES
    while session.pipe.unread > PIPE_BYTES and not session.lost_end:
        await asyncio.sleep(0.005)
    session.waits_for_reader = False
    if not session.lost_end and not connection.door.manners.loses_end:
        session.pipe.end()


async def _speak(
    connection: Connection,
    session: Session,
    channel: Server,
    process: Process,
    words: asyncio.Queue[tuple[int, bytes] | None],
) -> None:
    """From the child to the client, byte by byte the same; the status when the shell has ended."""
    early = connection.door.manners.early_status
    held: tuple[int, bytes] | None = None
    while (piece := await words.get()) is not None:
        await connection.free(session)
        if early:  # the last piece comes after the status
            piece, held = held, piece
        if piece is not None:
            await _write(channel, piece)
    code = process.code or 0
    _status(channel, code)
    if held is not None:
        await asyncio.sleep(0.02)
        await _write(channel, held)
    if not channel.channel.is_closing():
        channel.channel.write_eof()
        channel.channel.close()


async def _write(channel: Server, piece: tuple[int, bytes]) -> None:
    """A client that is gone hears nothing, and nothing ends for its sake."""
    stream = channel.stdout if piece[0] == 1 else channel.stderr
    try:
        stream.write(piece[1])
        await stream.drain()
    except (OSError, asyncssh.Error):
        return


def _status(channel: Server, code: int) -> None:
    """All 32 bits of it, as a number without sign."""
    if not channel.channel.is_closing():
        channel.channel._send_request(b"exit-status", UInt32(code & 0xFFFFFFFF))


class _Sink:
    """Takes what a process says, in its thread, over to the loop. Closed when the process has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, words: asyncio.Queue[tuple[int, bytes] | None], stream: int):
        self.loop, self.words, self.stream = loop, words, stream

    def __call__(self, data: bytes) -> None:
        self._put((self.stream, bytes(data)))

    def close(self) -> None:
        if self.stream == 2:
            self._put(None)

    def _put(self, piece: tuple[int, bytes] | None) -> None:
        try:
            self.loop.call_soon_threadsafe(self.words.put_nowait, piece)
        except RuntimeError:  # the loop is closed: the machine goes down
            return


class Sshd:
    """The door. `start` opens it on an address; port 0 picks a free one, then `port` says which."""

    def __init__(self, machine: Machine, manners: Manners | None = None) -> None:
        self.machine = machine
        self.manners = manners or Manners()
        self.host_key: asyncssh.SSHKey | None = None
        self.port = 0
        self.penalties: dict[str, float] = {}
        self.jobs = 0
        self.clients: set[asyncssh.SSHServerConnection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._listener: socket.socket | None = None
        self._accepting: Future[None] | None = None

    def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Raises OSError when the port is taken."""
        listener = socket.create_server((host, port), backlog=64)
        listener.setblocking(False)
        self._listener, self.port = listener, listener.getsockname()[1]
        self.host_key = self.host_key or asyncssh.generate_private_key("ssh-ed25519")
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="sshd", daemon=True)
            self._thread.start()
        self._accepting = asyncio.run_coroutine_threadsafe(self._accept(listener), self._loop)

    def listens(self) -> bool:
        return self._listener is not None

    def shut(self) -> None:
        """No new connections; those that are open go on (each has a process of its own)."""
        if self._listener:
            listener, self._listener = self._listener, None
            if self._accepting:
                self._accepting.cancel()
            if self._loop:
                self._loop.call_soon_threadsafe(listener.close)

    def stop(self) -> None:
        """The machine goes down."""
        self.shut()
        if self._loop and self._thread:

            async def end() -> None:
                for each in list(self.clients):
                    each.abort()
                    await each.wait_closed()
                rest = asyncio.all_tasks() - {asyncio.current_task()}
                for task in rest:
                    task.cancel()
                await asyncio.gather(*rest, return_exceptions=True)

            asyncio.run_coroutine_threadsafe(end(), self._loop).result(5)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)
            self._loop.close()
            self._loop = None

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while self._listener is listener:
            try:
                client, address = await loop.sock_accept(listener)
            except OSError:
                return
            if self.punished(address[0]):
                await loop.sock_sendall(client, b"Not allowed at this time\r\n")
                client.close()
                continue
            task = loop.create_task(self._greet(client))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _greet(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = await asyncssh.run_server(
            client,
            server_factory=lambda: Connection(self),
            server_host_keys=[self.host_key],
            server_version=self.manners.banner,
            encoding=None,
            line_editor=False,
            password_auth=False,
            kbdint_auth=False,
            allow_scp=False,
            compression_algs=["none"],
        )
        self.clients.add(connection)
        await connection.wait_closed()
        self.clients.discard(connection)

    # -- who failed too often
    def punish(self, peer: str) -> None:
        if self.manners.punishes:
            self.penalties[peer] = max(time.monotonic(), self.penalties.get(peer, 0)) + PENALTY_S

    def punished(self, peer: str) -> bool:
        return self.penalties.get(peer, 0) - time.monotonic() >= LEAST_S - PENALTY_S

    # -- commands
    def shell(self) -> tuple[str, str]:
        """DefaultShell, lower-cased as sshd has it, and its option."""
        found = self.machine.registry.get(DEFAULTS, "DefaultShell")
        option = self.machine.registry.get(DEFAULTS, "DefaultShellCommandOption")
        shell = str(found[1]).lower() if found else CMD
        return shell, str(option[1]) if option else ("/c" if shell.endswith("cmd.exe") else "-c")

    def composed(self, command: str) -> tuple[str, str]:
        """The shell, and the whole line that CreateProcess gets."""
        shell, option = self.shell()
        if shell.endswith("cmd.exe"):
            return shell, f'"{shell}" {option} "{command}"' if command else f'"{shell}"'
        quoted = f'"{command}"' if " " in command and not command.startswith("'") else command
        return shell, f'"{shell}" {option} {quoted}'

    def launch(self, connection: Connection, shell: str, line: str, session: Session, sinks: list[_Sink]) -> Process:
        """The shell, in a job of its own that ends with it. Not yet in it for a moment, on the real one."""
        self.jobs += 1
        job = f"sshd-{self.jobs}"
        option, _, text = line.partition('" ')[2].partition(" ")
        return self.machine.processes.start(
            [shell, option, text],
            None,
            environment=connection.environment,
            sids=sshkeys.token(self.machine, connection.user),
            **{"stdin": session.pipe, "has_input": True, "sinks": list(sinks), "jobs": {job}, "holds": {job}},
        )
