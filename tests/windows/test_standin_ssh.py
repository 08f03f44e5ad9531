"""What the lab's sshd must do: commands, streams, statuses, sessions."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import paramiko
import pytest

from .must import must
from .standin import sshkeys
from .standin.machine import Machine
from .standin.processes import Process
from .standin.sshd import Manners, Sshd
from .standin.use import until

KEY = paramiko.Ed25519Key.from_private_key_file
BANNER = "SSH-2.0-OpenSSH_for_Windows_9.5"


class Said(NamedTuple):
    code: int
    out: bytes
    err: bytes


class Client:
    """Connections to one door."""

    def __init__(self, door: Sshd, key: paramiko.PKey) -> None:
        self.door, self.key = door, key
        self.opened: list[paramiko.SSHClient] = []

    def connect(self, user: str = "anna", key: paramiko.PKey | None = None) -> paramiko.SSHClient:
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        alone: dict[str, Any] = {"allow_agent": False, "look_for_keys": False, "timeout": 10, "banner_timeout": 10}
        self.opened.append(client)
        try:
            client.connect("127.0.0.1", self.door.port, user, pkey=key or self.key, **alone)
        except Exception:
            client.close()
            raise
        return client

    def run(self, command: str, given: bytes = b"", client: paramiko.SSHClient | None = None) -> Said:
        return finished(started(client or self.connect(), command, given))


def started(client: paramiko.SSHClient, command: str, given: bytes = b"") -> paramiko.Channel:
    transport = client.get_transport()
    assert transport is not None
    channel = transport.open_session(timeout=10)
    channel.settimeout(10)
    channel.exec_command(command)
    channel.sendall(given)
    channel.shutdown_write()
    return channel


def finished(channel: paramiko.Channel) -> Said:
    out = b"".join(iter(lambda: channel.recv(1 << 15), b""))
    err = b"".join(iter(lambda: channel.recv_stderr(1 << 15), b""))
    return Said(channel.recv_exit_status(), out, err)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> paramiko.PKey:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    path = tmp_path_factory.mktemp("key") / "key"
    none = serialization.NoEncryption()
    private = ed25519.Ed25519PrivateKey.generate()
    openssh = serialization.PrivateFormat.OpenSSH
    path.write_bytes(private.private_bytes(serialization.Encoding.PEM, openssh, none))
    return KEY(str(path))


@pytest.fixture
def door(machine: Machine, key: paramiko.PKey) -> Iterator[Sshd]:
    sshkeys.furnish(machine, f"{key.get_name()} {key.get_base64()} desk\n")
    made = Sshd(machine, Manners())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def client(door: Sshd, key: paramiko.PKey) -> Iterator[Client]:
    made = Client(door, key)
    yield made
    for each in made.opened:
        each.close()


def program(machine: Machine, name: str, body: Any) -> str:
    path = rf"C:\work\{name}.exe"
    machine.processes.install(path, body)
    return path


@must("ssh 1")
def test_cmd_reads_the_line(machine: Machine, client: Client) -> None:
    machine.drive.make(r"C:\a b")

    def show(process: Process) -> int:
        process.say("|".join(process.arguments))
        return 0

    machine.processes.install(r"C:\a b\show.exe", show)
    plain = program(machine, "show", show)
    one = client.connect()
    assert client.run("ver", client=one).out.strip().startswith(b"Microsoft Windows [Version 10.0")
    assert client.run(f"{plain} a b", client=one).out == b"a|b"
    assert client.run(r'"C:\a b\show.exe" a "b c"', client=one).out == b"a|b c"
    assert client.run("echo 1 & echo 2", client=one).out == b"1 \r\n2\r\n".replace(b"1 ", b"1")
    assert client.run("echo 1 && echo 2 || echo 3", client=one).out == b"1\r\n2\r\n"
    assert client.run("exit 3 & echo never", client=one) == Said(3, b"", b"")
    assert client.run("echo %USERNAME% %NOBODY%", client=one).out == b"Anna %NOBODY%\r\n"
    assert client.run("echo a^&b | findstr a", client=one).out == b"a&b\r\n"
    assert client.run("echo x> C:\\work\\made.txt & type C:\\work\\made.txt", client=one).out == b"x\r\n"
    assert client.run(r'"C:\a b\show.exe" a & echo "b"', client=one).out == b'a"b"\r\n'


def test_cmd_loops_over_what_a_command_says(client: Client) -> None:
    """Documented: `for /f` takes the first word of each line; the parentheses keep what follows out of the loop."""
    said = client.run("(for /f %i in ('echo 100.64.0.1 more') do @echo http://%i/x) 2>nul& echo end")
    assert said.out == b"http://100.64.0.1/x\r\nend\r\n"


@must("ssh 1")
def test_what_is_not_there_is_said_in_the_machines_language_and_page(machine: Machine, client: Client) -> None:
    said = client.run("nothing")
    assert said.code == 1
    assert b"nothing" in said.err
    assert not said.out
    wanted = "konnte nicht gefunden werden" if machine.language == "de" else "is not recognized as an internal"
    assert wanted in said.err.decode(machine.oem)
    missing = client.run(r"C:\no\folder\x.exe")
    assert (b"Pfad nicht finden" if machine.language == "de" else b"cannot find the path") in missing.err


@must("ssh 2")
def test_a_line_too_long(machine: Machine, client: Client) -> None:
    one = client.connect()
    around = len(r'"c:\windows\system32\cmd.exe" /c ""')
    fits = "echo " + "x" * (8191 - around - 5)
    assert client.run(fits, client=one).code == 0
    said = client.run(fits + "x", client=one)
    assert said.code == 1
    assert not said.out
    assert (b"zu lang" if machine.language == "de" else b"The command line is too long.") in said.err


@must("ssh 3")
def test_statuses_by_shell(machine: Machine, client: Client) -> None:
    for code in (0, 2, 3010, 3221225477):
        assert client.run(f"exit {code}").code == code
    shell = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
    machine.registry.set(r"HKLM\SOFTWARE\OpenSSH", "DefaultShell", 1, shell)
    machine.profile_line = "Welcome\r\n"
    ends = program(machine, "ends", lambda process: int(process.arguments[0]))
    assert client.run(f"{ends} 42") == Said(1, b"Welcome\r\n", b"")
    assert client.run(f"{ends} 0") == Said(0, b"Welcome\r\n", b"")
    machine.registry.set(r"HKLM\SOFTWARE\OpenSSH", "DefaultShell", 1, r"C:\Program Files\Git\bin\bash.exe")
    assert client.run(f"{ends} 0").code == 127  # it ate the backslashes
    assert client.run(ends.replace("\\", "/") + " 3010").code == 3010 & 0xFF


def reader(process: Process) -> int:
    """Reads one line, says how long it was, and then waits for the end."""
    process.say(f"{len(process.input().readline())}")
    process.input().read()
    process.say(" end")
    return 0


def first_line(process: Process) -> int:
    process.say(f"{len(process.input().readline())}")
    return 0


@must("ssh 4")
def test_an_end_that_never_comes(machine: Machine, door: Sshd, client: Client) -> None:
    """All bytes arrive. Who waits for one line is served all the same."""
    gates = [threading.Event(), threading.Event()]

    def slow(process: Process) -> int:
        gates[0].wait(10)
        return reader(process)

    def other(process: Process) -> int:
        gates[1].wait(10)
        return 0

    path, line = program(machine, "slow", slow), b"x" * 9999 + b"\n"
    one = client.connect()
    started(one, program(machine, "other", other))
    until(lambda: machine.processes.find("other.exe"))
    lost = started(one, path, line)
    until(lambda: machine.processes.find("slow.exe"))
    time.sleep(0.2)
    gates[1].set()  # a child that ends while the other has not read
    time.sleep(0.2)
    gates[0].set()
    until(lost.recv_ready)
    assert lost.recv(100) == b"10000"
    door.manners.loses_end = True
    assert client.run(program(machine, "first", first_line), line, client=one).out == b"10000"
    assert finished(started(client.connect(), program(machine, "first", first_line), b"ab\n")).out == b"3"


@must("ssh 5")
def test_a_child_that_does_not_read_stops_the_others(machine: Machine, client: Client) -> None:
    gate = threading.Event()

    def slow(process: Process) -> int:
        gate.wait(10)
        return first_line(process)

    one = client.connect()
    lazy = started(one, program(machine, "slow", slow), b"x" * 4097 + b"\n")
    until(lambda: machine.processes.find("slow.exe"))
    time.sleep(0.2)
    other = started(one, "ver")
    other.settimeout(0.5)
    with pytest.raises(socket.timeout):
        other.recv(1)
    assert client.run("ver").code == 0  # another connection does not care
    gate.set()
    assert finished(lazy).out == b"4098"
    assert finished(other).code == 0


@must("ssh 6")
def test_the_status_before_the_last_words(machine: Machine, door: Sshd, client: Client) -> None:
    door.manners.early_status = True

    def talk(process: Process) -> int:
        process.say(b"all ")
        process.say(b"of it")
        return 0

    channel = started(client.connect(), program(machine, "talk", talk))
    assert channel.recv_exit_status() == 0
    at_the_status = b"".join(iter(lambda: channel.recv(1000) if channel.recv_ready() else b"", b""))
    assert at_the_status == b"all "  # who stops here has lost bytes
    assert finished(channel).out == b"of it"


def test_no_byte_is_changed(machine: Machine, client: Client) -> None:
    def echo(process: Process) -> int:
        data = process.input().read()
        process.say(data)
        process.say(data, error=True)
        return 0

    every = bytes(range(256)) * 300 + b"\r\n\n\x1a\x00\xff"
    assert client.run(program(machine, "echo", echo), every) == Said(0, every, every)


@must("ssh 9")
def test_a_signal_and_a_client_that_is_gone(machine: Machine, client: Client) -> None:
    path = program(machine, "forever", Process.live)
    one = client.connect()
    transport = one.get_transport()
    assert transport is not None
    channel = transport.open_session()
    channel.exec_command(path)
    until(lambda: machine.processes.find("forever.exe"))
    message = paramiko.Message()
    message.add_byte(b"\x62")  # SSH_MSG_CHANNEL_REQUEST
    message.add_int(channel.remote_chanid)
    message.add_string("signal")
    message.add_boolean(False)
    message.add_string("TERM")
    transport._send_user_message(message)  # type: ignore[attr-defined]
    assert channel.recv_exit_status() == 0
    until(lambda: not machine.processes.find("forever.exe"))
    two = client.connect()
    started(two, path)
    until(lambda: machine.processes.find("forever.exe"))
    two.close()
    time.sleep(0.3)
    assert machine.processes.find("forever.exe")


def first_words(door: Sshd) -> str:
    with socket.create_connection(("127.0.0.1", door.port), 5) as raw:
        return raw.recv(100).decode()


def door_is_open(client: paramiko.SSHClient) -> bool:
    try:
        return finished(started(client, "ver")).code == 0
    except paramiko.ChannelException:
        return False


@must("ssh 11")
def test_the_eleventh_channel_and_the_penalty(door: Sshd, client: Client, machine: Machine) -> None:
    path = program(machine, "forever", Process.live)
    one = client.connect()
    ten = [started(one, path) for _ in range(10)]
    with pytest.raises(paramiko.ChannelException):
        started(one, "ver")
    ten[0].close()
    until(lambda: door_is_open(one))
    wrong = paramiko.RSAKey.generate(2048)
    for _ in range(3):  # 9.5 does not mind
        with pytest.raises(paramiko.AuthenticationException):
            client.connect(key=wrong)
    assert client.run("ver").code == 0
    door.manners.version = "9.8"
    for _ in range(3):
        with pytest.raises((paramiko.AuthenticationException, paramiko.SSHException)):
            client.connect(key=wrong)
    until(lambda: first_words(door) == "Not allowed at this time\r\n")
    with pytest.raises(paramiko.SSHException, match="banner"):
        client.connect()


@must("ssh 12")
def test_the_banner(door: Sshd) -> None:
    assert first_words(door).strip() == BANNER
    door.manners.version, door.manners.from_github = "10.0p2", True
    assert first_words(door).strip() == "SSH-2.0-OpenSSH_for_Windows_10.0p2 Win32-OpenSSH-GitHub"


@must("files 7")
def test_a_key_file_that_others_may_write(machine: Machine, client: Client) -> None:
    keys, drive = sshkeys.ADMINISTRATORS_KEYS, machine.drive
    drive.set_descriptor(keys, "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1200a9;;;AU)", machine.user_sids, True)
    assert client.run("ver").code == 0  # who may read it may be anybody
    drive.set_descriptor(keys, "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;0x1301bf;;;BU)", machine.user_sids, True)
    with pytest.raises(paramiko.AuthenticationException):
        client.connect()


def test_passwords_and_strangers(client: Client, door: Sshd) -> None:
    with pytest.raises(paramiko.AuthenticationException):
        client.connect(user="nobody")
    other = paramiko.SSHClient()
    other.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    with pytest.raises(paramiko.SSHException):
        other.connect("127.0.0.1", door.port, "anna", "secret", allow_agent=False, look_for_keys=False)
    other.close()


def test_children_die_with_the_shell(machine: Machine, client: Client) -> None:
    machine.processes.install(r"C:\work\child.exe", Process.live)

    def parent(process: Process) -> int:
        process.start(r"C:\work\child.exe")
        return 0

    assert client.run(program(machine, "parent", parent)).code == 0
    until(lambda: not machine.processes.find("child.exe"))
