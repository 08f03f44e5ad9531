"""Runs first where there is no container: reads the secrets, waits for the gateway's address, and is LiteLLM.

    python native.py HOST PORT

After a start of the machine the tailnet's address may come later than we do. The secrets are in the file that
SECRETS_FILE names, or come on standard input: our account may not read where they lie.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

PAUSE_S = 0.5


def main() -> None:
    host, port = sys.argv[1], int(sys.argv[2])
    with open(os.environ.get("SECRETS_FILE") or 0, encoding="utf-8") as file:  # noqa: PTH123  0: standard input
        settings = file.read()
    for line in settings.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            os.environ[name] = value
    wait_for_address(host, port)
    from litellm import run_server

    config = Path(__file__).with_name("config.yaml")
    sys.argv[1:] = ["--config", str(config), "--host", host, "--port", str(port), "--num_workers", "1"]
    run_server()


def wait_for_address(host: str, port: int) -> None:
    """Return when `host` is an address of this machine and nobody else has the port. Says once what it waits for."""
    said = ""
    while True:
        try:
            with socket.create_server((host, port)):
                return
        except OSError as error:
            if str(error) != said:
                said = str(error)
                print(f"waiting until {host}:{port} can be had: {said}", flush=True)
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
