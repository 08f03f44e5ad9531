"""pyinfra as it is, with every command on a machine counted: `python -m tests.bench.counted FILE <arguments>`."""

from __future__ import annotations

import atexit
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from pyinfra_cli.main import main as pyinfra


def main() -> None:
    from pyinfra.connectors.ssh import SSHConnector  # after pyinfra_cli, which patches what paramiko builds on

    execs: Counter[str] = Counter()
    run = SSHConnector.run_shell_command
    put = SSHConnector.put_file

    def counted_run(self: Any, *args: Any, **kwargs: Any) -> Any:
        execs[self.host.name] += 1
        return run(self, *args, **kwargs)

    def counted_put(self: Any, *args: Any, **kwargs: Any) -> Any:
        execs[self.host.name] += 1
        return put(self, *args, **kwargs)

    SSHConnector.run_shell_command = counted_run  # type: ignore[method-assign]
    SSHConnector.put_file = counted_put  # type: ignore[method-assign]
    report = Path(sys.argv.pop(1))
    atexit.register(lambda: report.write_text(json.dumps(execs)))
    pyinfra()


if __name__ == "__main__":
    main()
