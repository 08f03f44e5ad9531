"""What the lab's sftp-server must do: paths, statuses, open files, modes, inherited access."""

from __future__ import annotations

import errno
import io
import stat
from collections.abc import Iterator

import paramiko
import pytest

from .must import must
from .standin import security
from .standin.machine import Machine
from .standin.python import World
from .standin.security import AUTHENTICATED, USERS
from .standin.sshd import Sshd
from .test_standin_ssh import Client, client, door, key

__all__ = ["client", "door", "key"]
DENIED, MISSING = errno.EACCES, errno.ENOENT


@pytest.fixture
def sftp(client: Client) -> Iterator[paramiko.SFTPClient]:
    yield client.connect().open_sftp()


def refused(problem: pytest.ExceptionInfo[OSError]) -> int | None:
    """paramiko's errno: none at all for Failure."""
    return problem.value.errno


@must("ssh 13")
def test_realpath(sftp: paramiko.SFTPClient) -> None:
    for given, wanted in (
        ("/C:/x", "/C:/x"),
        ("C:/x", "/C:/x"),
        ("C:\\X\\y", "/C:/X/y"),
        ("/c:/x", "/c:/x"),
        ("C:", "/C:/"),
        ("/", "/"),
        ("/C:/..", "/"),
        (".", "/C:/Users/Anna"),
        ("/C:/no/such/Folder. ", "/C:/no/such/Folder"),
        ("__PROGRAMDATA__/ssh", "/C:/ProgramData/ssh"),
    ):
        assert sftp.normalize(given) == wanted
    with sftp.open("C:/ProgramData/One.txt", "w") as file:
        file.write("1")
    with sftp.open("/c:/PROGRAMDATA/oNE.TXT") as file:
        assert file.read() == b"1"
    assert "One.txt" in sftp.listdir("/C:/ProgramData")
    assert sftp.listdir("/") == ["C:"]


@must("ssh 14")
def test_open_files(sftp: paramiko.SFTPClient, machine: Machine, world: World, client: Client) -> None:
    path = r"C:\ProgramData\used.bin"
    machine.drive.write(path, b"old")
    with world.open(path, "rb"), pytest.raises(OSError, match="Failure") as problem:
        sftp.putfo(io.BytesIO(b"new"), "/C:/ProgramData/used.bin")
    assert refused(problem) is None
    assert machine.drive.read(path) == b"old"
    with sftp.open("/C:/ProgramData/used.bin", "w"):
        with pytest.raises(PermissionError) as used:
            world.open(path, "rb")
        assert used.value.winerror == 32  # type: ignore[attr-defined]
        with pytest.raises(OSError, match="Failure"):
            client.connect().open_sftp().open("/C:/ProgramData/used.bin")
    machine.drive.loaded.add(machine.drive.key(path))
    with pytest.raises(OSError, match="Failure"):
        sftp.putfo(io.BytesIO(b"new"), "/C:/ProgramData/used.bin")


@must("ssh 15")
def test_statuses(sftp: paramiko.SFTPClient, machine: Machine, world: World) -> None:
    path = r"C:\ProgramData\held.txt"
    machine.drive.write(path, b"x")
    with world.open(path, "rb"), pytest.raises(OSError) as problem:
        sftp.remove("/C:/ProgramData/held.txt")
    assert refused(problem) == DENIED
    sftp.chmod("/C:/ProgramData/held.txt", 0o444)
    for refuses in (
        lambda: sftp.remove("/C:/ProgramData/held.txt"),
        lambda: sftp.open("/C:/ProgramData/held.txt", "w"),
    ):
        with pytest.raises(OSError) as problem:
            refuses()
        assert refused(problem) == DENIED
    with pytest.raises(OSError, match="Failure"):
        sftp.mkdir("/C:/ProgramData")
    with pytest.raises(OSError, match="Failure"):
        sftp.rmdir("/C:/ProgramData")
    with pytest.raises(OSError) as problem:
        sftp.stat("/C:/ProgramData/nothing")
    assert refused(problem) == MISSING
    with pytest.raises(OSError) as problem:
        sftp.open("/C:/nowhere/x", "w")
    assert refused(problem) == MISSING
    machine.drive.full = True
    with pytest.raises(OSError, match="Failure"):
        sftp.open("/C:/ProgramData/more", "w")


@must("ssh 16")
def test_renames(sftp: paramiko.SFTPClient, machine: Machine, world: World) -> None:
    sddl = "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)"
    for name, content in (("a", b"1"), ("b", b"2")):
        machine.drive.write(rf"C:\ProgramData\{name}", content)
    machine.drive.set_descriptor(r"C:\ProgramData\a", sddl, machine.user_sids, True)
    with pytest.raises(OSError, match="Failure"):
        sftp.rename("/C:/ProgramData/a", "/C:/ProgramData/b")
    with world.open(r"C:\ProgramData\b", "rb"), pytest.raises(OSError) as problem:
        sftp.posix_rename("/C:/ProgramData/a", "/C:/ProgramData/b")
    assert refused(problem) == DENIED
    with world.open(r"C:\ProgramData\a", "rb"), pytest.raises(OSError, match="Failure"):
        sftp.posix_rename("/C:/ProgramData/a", "/C:/ProgramData/b")
    sftp.posix_rename("/C:/ProgramData/a", "/C:/ProgramData/b")
    assert machine.drive.read(r"C:\ProgramData\b") == b"1"
    assert machine.drive.descriptor(r"C:\ProgramData\b") == security.normalised(security.parse(sddl))


@must("ssh 17", "files 8")
def test_modes_are_the_read_only_attribute(sftp: paramiko.SFTPClient, machine: Machine) -> None:
    path = r"C:\ProgramData\secret.txt"
    machine.drive.write(path, b"x")
    before = machine.drive.descriptor(path)
    assert any(ace.sid == USERS for ace in before.aces)  # everybody may read it, and its mode does not say so
    assert sftp.stat("/C:/ProgramData/secret.txt").st_mode == stat.S_IFREG | 0o600
    sftp.chmod("/C:/ProgramData/secret.txt", 0o600)
    assert machine.drive.descriptor(path) == before
    sftp.chmod("/C:/ProgramData/secret.txt", 0o400)
    found = sftp.stat("/C:/ProgramData/secret.txt")
    assert (found.st_mode, found.st_uid, found.st_gid) == (stat.S_IFREG | 0o400, 0, 0)
    assert machine.drive.descriptor(path) == before
    with pytest.raises(OSError, match="Failure"):
        sftp.chown("/C:/ProgramData/secret.txt", 0, 0)
    machine.drive.write(r"C:\ProgramData\open.exe", b"")
    access = "O:BAD:P(A;;FA;;;BA)(A;;0x1200a9;;;AU)"
    machine.drive.set_descriptor(r"C:\ProgramData\open.exe", access, machine.user_sids, True)
    assert sftp.stat("/C:/ProgramData/open.exe").st_mode == stat.S_IFREG | 0o704


@must("ssh 18", "files 8")
def test_what_is_uploaded_inherits(sftp: paramiko.SFTPClient, machine: Machine) -> None:
    machine.drive.make(r"C:\kept", "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
    sftp.putfo(io.BytesIO(b"1"), "/C:/kept/new.txt")
    new = machine.drive.descriptor(r"C:\kept\new.txt")
    assert {ace.sid for ace in new.aces} == {security.SYSTEM, security.ADMINISTRATORS}
    assert all("ID" in ace.flags for ace in new.aces)
    own = "O:BAD:P(A;;FA;;;BA)(A;;0x1200a9;;;AU)"
    machine.drive.set_descriptor(r"C:\kept\new.txt", own, machine.user_sids, True)
    sftp.putfo(io.BytesIO(b"2"), "/C:/kept/new.txt")
    assert any(ace.sid == AUTHENTICATED for ace in machine.drive.descriptor(r"C:\kept\new.txt").aces)


def test_who_may_not(client: Client, door: Sshd, machine: Machine) -> None:
    machine.elevated = False
    sftp = client.connect  # an administrator whose token is not elevated has no such key file
    with pytest.raises(paramiko.AuthenticationException):
        sftp()
