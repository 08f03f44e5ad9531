"""The stand-in of `deploys/agent/windows/win32.py`: the same functions over a stand-in machine."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import handles
from . import security as security_
from .drive import error
from .handles import Handle
from .machine import HOST, Machine
from .processes import Process


def functions(machine: Machine) -> dict[str, Callable[..., Any]]:
    """Every public function of `win32.py` by name."""
    drive, registry, processes = machine.drive, machine.registry, machine.processes

    def run(
        program: str, arguments: Sequence[str], timeout_s: float = 120, quiet: bool = False
    ) -> tuple[int, bytes, bytes]:
        process = processes.start([program, *arguments], parent=machine.process())
        own, end = machine.process(), time.monotonic() + timeout_s
        while not process.ended.wait(0.01):
            own.check()
            if time.monotonic() > end:
                processes.end_tree(process)
                raise TimeoutError(errno.ETIMEDOUT, f"{program} did not end within {timeout_s:g} s")
        return process.code or 0, b"" if quiet else bytes(process.out), b"" if quiet else bytes(process.err)

    def text(data: bytes) -> str:
        return data.decode(machine.oem, "replace")

    def must_stay(key: str) -> None:
        if registry.shrinks.pop(key, None):
            raise error(259, key)

    def values(key: str) -> dict[str, tuple[int, Any]] | None:
        must_stay(key)
        found = registry.find(key)
        return {name: (kind, data) for name, kind, data in found.values.values()} if found else None

    def subkeys(key: str) -> list[str]:
        must_stay(key)
        found = registry.find(key)
        return [each.name for each in found.keys.values()] if found else []

    def set_value(key: str, name: str, kind: int | None, data: Any = None) -> None:
        _may_write(key)
        if kind is not None:
            registry.set(key, name, kind, data)
            return
        try:
            registry.delete(key, name)
        except FileNotFoundError:
            raise error(2, name) from None

    def _may_write(key: str) -> None:
        if key.startswith("HKLM") and not machine.elevated:
            raise error(5, key)

    def broadcast() -> None:
        machine.broadcasts += 1

    def opened(path: str, rights: int) -> contextlib.AbstractContextManager[Handle]:
        handle = Handle(drive, path)
        needed = rights & handles.CHECKED
        if security_.SYSTEM not in machine.process().sids:
            drive.must_allow(path, machine.process().sids, needed)
        return contextlib.nullcontext(handle)

    def told(opened: Any) -> tuple[int, str]:
        if isinstance(opened, Handle):
            return opened.tag(), opened.place()
        return 0, "\\\\?\\" + drive.path_of(Path(f"/proc/self/fd/{opened.fileno()}").readlink())

    def delete(handle: Handle) -> None:
        drive.delete(handle.path(), machine.process().sids)

    def security(handle: Handle) -> str:
        return drive.sddl(handle.path())

    def set_security(handle: Handle, sddl: str, inherit: bool) -> None:
        drive.set_descriptor(handle.path(), sddl, machine.process().sids, machine.restore_privilege)
        if inherit:
            handle.inherit()

    def account(name: str) -> tuple[str, int]:
        """The machine's own name is found before a user's: 3 is a domain, 1 a user."""
        return (security_.MACHINE, 3) if name.lower() == HOST.lower() else (machine.sid_of(name), 1)

    def name_of(sid: str) -> str:
        return machine.account(security_.ALIASES.get(sid, sid))[1]

    def listed() -> dict[int, tuple[int, str]]:
        return {each.pid: (each.parent, each.name) for each in processes.all.values() if each.alive}

    def created(pid: int) -> int:
        found = processes.all.get(pid)
        return found.created if found and found.alive else 0

    def terminate(pid: int) -> None:
        found = processes.all.get(pid)
        if not (found and found.alive):
            raise error(87, str(pid))
        if pid in processes.dying:
            raise error(5, str(pid))
        if not processes.dies_within_s:
            processes.end(found, 1)
            return
        processes.dying.add(pid)
        threading.Timer(processes.dies_within_s, processes.end, (found, 1)).start()

    def enter_job(name: str) -> None:
        own = machine.process()
        with processes.lock:
            if processes.of_job(name):
                raise error(183, name)
            own.jobs.add(name)
            own.holds.add(name)

    def job_processes(name: str) -> list[int]:
        return [each.pid for each in processes.of_job(name)]

    def end_job(name: str) -> None:
        processes.end_job(name)

    def checked(function: Callable[..., Any]) -> Callable[..., Any]:
        """A terminated process calls nothing more."""

        def wrapped(*arguments: Any, **options: Any) -> Any:
            process: Process = machine.process()
            process.check()
            return function(*arguments, **options)

        return wrapped

    every: dict[str, Callable[..., Any]] = {"processes": listed}
    each: Callable[..., Any]
    for each in (
        run,
        text,
        values,
        subkeys,
        set_value,
        broadcast,
        opened,
        told,
        delete,
        security,
        set_security,
    ):
        every[each.__name__] = each
    for each in (account, name_of, created, terminate, enter_job, job_processes, end_job):
        every[each.__name__] = each
    return {name: checked(function) for name, function in every.items()}
