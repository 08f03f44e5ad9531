"""The stand-in of `subprocess`: it starts stand-in programs."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .python import World


def module(world: World) -> Any:
    """Starts stand-in programs. A stream that is not redirected fails the test: sshd's pipes are not for children."""
    machine = world.machine
    module: Any = types.ModuleType("subprocess")
    for name in ("PIPE", "DEVNULL", "STDOUT", "TimeoutExpired", "CompletedProcess", "SubprocessError"):
        setattr(module, name, getattr(subprocess, name))
    module.CREATE_NO_WINDOW = 0x08000000

    class Popen:
        def __init__(self, args: Sequence[str], **options: Any) -> None:
            wanted = {name: options.get(name) for name in ("stdin", "stdout", "stderr")}
            if options.get("input") is not None:
                wanted["stdin"] = subprocess.PIPE
            loose = [name for name, value in wanted.items() if value is None]
            assert not loose, f"{args[0]}: {loose} would be sshd's own pipes"
            sinks: list[Any] = []
            self.stdout: Any = None
            self.stderr: Any = None
            for name in ("stdout", "stderr"):
                target = wanted[name]
                if target == subprocess.STDOUT:
                    sinks.append(sinks[0])
                elif target is not None and not isinstance(target, int):
                    sinks.append(_Appender(os.dup(target.fileno())))
                elif target == subprocess.PIPE and not options.get("captured"):
                    reading, writing = os.pipe()
                    sinks.append(_Appender(writing))
                    setattr(self, name, os.fdopen(reading, "rb", buffering=0))
                else:
                    sinks.append(lambda _: None)
            environment = options.get("env")
            self.args = args
            self.process = machine.processes.start(
                list(args),
                parent=machine.process(),
                environment=environment,
                given=options.get("input") or b"",
                has_input=options.get("input") is not None,
                sinks=sinks,
            )
            self.pid = self.process.pid

        @property
        def returncode(self) -> int | None:
            return self.poll()

        def poll(self) -> int | None:
            return self.process.code

        def wait(self, timeout: float | None = None) -> int:
            own = machine.process()
            end = time.monotonic() + timeout if timeout is not None else None
            while not self.process.ended.wait(0.01):
                own.check()
                if end and time.monotonic() > end:
                    raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            own.check()
            return self.process.code or 0

        def kill(self) -> None:
            machine.processes.end(self.process, 1)

        terminate = kill

        def __enter__(self) -> Popen:
            return self

        def __exit__(self, *_: object) -> None:
            self.wait()

    def run(args: Sequence[str], timeout: float | None = None, capture_output: bool = False, **options: Any) -> Any:
        if capture_output:
            options.update(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        started = Popen(args, captured=True, **options)
        try:
            code = started.wait(timeout)
        except subprocess.TimeoutExpired:
            started.kill()
            raise
        return subprocess.CompletedProcess(args, code, bytes(started.process.out), bytes(started.process.err))

    module.Popen, module.run = Popen, run
    return module


class _Appender:
    """The child's own handle to a file or pipe: open as long as it, or one that inherited it, lives."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.lock = threading.Lock()
        self.holders = 1

    def hold(self) -> None:
        with self.lock:
            self.holders += 1

    def __call__(self, data: bytes) -> None:
        with self.lock:
            if self.descriptor >= 0:
                os.write(self.descriptor, data)

    def close(self) -> None:
        with self.lock:
            self.holders -= 1
            if self.holders:
                return
            if self.descriptor >= 0:
                os.close(self.descriptor)
            self.descriptor = -1
