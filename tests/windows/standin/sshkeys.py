"""Whom sshd lets in: the key files, their access, and the token that a session gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncssh

from . import security
from .security import ADMINISTRATORS, SYSTEM, TRUSTED_INSTALLER

if TYPE_CHECKING:
    from .machine import Machine

ADMINISTRATORS_KEYS = r"C:\ProgramData\ssh\administrators_authorized_keys"
WRITING = 0x2 | 0x4 | 0x10 | 0x100  # write data, append, write EA, write attributes


def token(machine: Machine, user: str) -> frozenset[str]:
    """The SIDs of a session of that user; raises OSError 1332 when there is no such account."""
    return machine.token(machine.sid_of(user))


def accepts(machine: Machine, user: str, key: asyncssh.SSHKey) -> bool:
    """Whether the key is in the file that counts for this user, and nobody else may write that file."""
    try:
        sids = token(machine, user)
        sid = machine.sid_of(user)
    except OSError:
        return False
    name = machine.account(sid)[1]
    path = ADMINISTRATORS_KEYS if ADMINISTRATORS in sids else rf"C:\Users\{name}\.ssh\authorized_keys"
    if not machine.drive.real(path).is_file() or refused(machine, path, sid):
        return False
    wanted = key.public_data
    for line in machine.drive.read(path).decode("utf-8", "replace").splitlines():
        try:
            if line.strip() and not line.startswith("#") and asyncssh.import_public_key(line).public_data == wanted:
                return True
        except asyncssh.KeyImportError:
            continue
    return False


def refused(machine: Machine, path: str, sid: str) -> str:
    """Why StrictModes does not take the file: the SID that owns it or may write it; "" when nothing is wrong."""
    trusted = {SYSTEM, ADMINISTRATORS, TRUSTED_INSTALLER, sid}
    found = machine.drive.descriptor(path)
    if found.owner not in trusted:
        return found.owner
    foreign = [ace.sid for ace in found.aces if ace.allow and ace.sid not in trusted and ace.mapped & WRITING]
    return foreign[0] if foreign else ""


def furnish(machine: Machine, keys: str) -> None:
    """As bootstrap leaves it: the administrators' keys, closed to everybody else."""
    machine.drive.write(ADMINISTRATORS_KEYS, keys)
    closed = security.parse("O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)")
    machine.drive.descriptors[machine.drive.key(ADMINISTRATORS_KEYS)] = closed
