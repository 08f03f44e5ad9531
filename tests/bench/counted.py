"""pyinfra as it is, with all that goes over each SSH connection counted: `python -m tests.bench.counted FILE <more>`.

Counted where every way in passes, ours and pyinfra's: at paramiko's channels. FILE gets {machine: {"execs", "sftp
sessions", "uploads"}}; a connection that nobody named is there as `?`.
"""

from __future__ import annotations

import atexit
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyinfra_cli.main import main as pyinfra

EXECS, SESSIONS, UPLOADS = "execs", "sftp sessions", "uploads"
# What opens each of them, and how to come from there to its connection.
COUNTED: tuple[tuple[str, str, str, Callable[[Any], Any]], ...] = (
    (EXECS, "Channel", "exec_command", lambda channel: channel.transport),
    (EXECS, "Channel", "invoke_shell", lambda channel: channel.transport),
    (SESSIONS, "Channel", "invoke_subsystem", lambda channel: channel.transport),
    (UPLOADS, "SFTPClient", "putfo", lambda sftp: sftp.get_channel().transport),
)


def main() -> None:
    import paramiko  # after pyinfra_cli, which patches what paramiko builds on
    from pyinfra.connectors.ssh import SSHConnector

    counts: dict[Any, Counter[str]] = {}
    names: dict[Any, str] = {}

    def count(what: str, kind: type, method: str, connection_of: Callable[[Any], Any]) -> None:
        original = getattr(kind, method)

        def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
            counts.setdefault(connection_of(self), Counter())[what] += 1
            return original(self, *args, **kwargs)

        setattr(kind, method, counted)

    for what, kind, method, connection_of in COUNTED:
        count(what, getattr(paramiko, kind), method, connection_of)
    connect = SSHConnector.connect

    def named(self: Any) -> None:
        connect(self)
        names[self.client.get_transport()] = self.host.name

    SSHConnector.connect = named  # type: ignore[method-assign]

    def told() -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {name: Counter() for name in names.values()}
        for connection, each in counts.items():
            found.setdefault(names.get(connection, "?"), Counter()).update(each)
        return {
            name: Counter({what: each[what] for what in (EXECS, SESSIONS, UPLOADS)}) for name, each in found.items()
        }

    report = Path(sys.argv.pop(1))
    atexit.register(lambda: report.write_text(json.dumps(told())))
    pyinfra()


if __name__ == "__main__":
    main()
