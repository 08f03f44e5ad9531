"""Runs first in the container: reads the secrets from their file and becomes LiteLLM.

Not Compose's `env_file`: the container runtime writes a container's environment into files of its own, and one of them
(containerd's meta.db) can be read by every user of the machine. A process's own environment can not.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SETTINGS = Path("/run/gateway.env")


def main() -> None:
    for line in SETTINGS.read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals:
            os.environ[name] = value
    os.execvp("litellm", ["litellm", *sys.argv[1:]])  # noqa: S606  the same process goes on as LiteLLM


if __name__ == "__main__":
    main()
