"""The stand-in of `deploys/agent/win32.py`: the same functions over a stand-in machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .drive import error
from .machine import Machine
from .processes import Process


def functions(machine: Machine) -> dict[str, Callable[..., Any]]:
    """Every public function of `win32.py` by name."""
    drive, registry, processes = machine.drive, machine.registry, machine.processes

    def run(program: str, arguments: Sequence[str], timeout_s: float = 120) -> tuple[int, bytes, bytes]:
        process = processes.start([program, *arguments], parent=machine.process())
        own = machine.process()
        while not process.ended.wait(0.01):
            own.check()
        return process.code or 0, bytes(process.out), bytes(process.err)

    def text(data: bytes) -> str:
        return data.decode(machine.oem, "replace")

    def values(key: str) -> dict[str, tuple[int, Any]] | None:
        found = registry.find(key)
        return {name: (kind, data) for name, kind, data in found.values.values()} if found else None

    def subkeys(key: str) -> list[str]:
        found = registry.find(key)
        return [each.name for each in found.keys.values()] if found else []

    def set_value(key: str, name: str, kind: int, data: Any) -> None:
        _may_write(key)
        registry.set(key, name, kind, data)

    def delete_value(key: str, name: str) -> None:
        _may_write(key)
        try:
            registry.delete(key, name)
        except FileNotFoundError:
            raise error(2, name) from None

    def _may_write(key: str) -> None:
        if key.startswith("HKLM") and not machine.elevated:
            raise error(5, key)

    def broadcast() -> None:
        machine.broadcasts += 1

    def security(path: str) -> str:
        return drive.sddl(path)

    def set_security(path: str, sddl: str) -> None:
        drive.set_descriptor(path, sddl, machine.process().sids, machine.restore_privilege)

    def sid_of(account: str) -> str:
        return machine.sid_of(account)

    def name_of(sid: str) -> str:
        return machine.account(sid)[1]

    def listed() -> dict[int, tuple[int, str]]:
        return {each.pid: (each.parent, each.name) for each in processes.all.values() if each.alive}

    def created(pid: int) -> int:
        found = processes.all.get(pid)
        return found.created if found and found.alive else 0

    def terminate(pid: int) -> None:
        found = processes.all.get(pid)
        if not (found and found.alive):
            raise error(87, str(pid))
        processes.end(found, 1)

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
    for each in (run, text, values, subkeys, set_value, delete_value, broadcast, security, set_security, sid_of):
        every[each.__name__] = each
    for each in (name_of, created, terminate, enter_job, job_processes, end_job):
        every[each.__name__] = each
    return {name: checked(function) for name, function in every.items()}
