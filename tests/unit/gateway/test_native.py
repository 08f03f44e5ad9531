"""native.py hands LiteLLM its secrets and its arguments, and waits for its address and port."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "gateway" / "native.py"
ODD = "a 'b'#${c}\\\"=d"
LITELLM = """
import json, os, sys
def run_server():
    print(json.dumps([sys.argv[1:], os.environ["GROQ_API_KEY"]]), flush=True)
"""


def start(tmp_path: Path, port: int, named: bool) -> subprocess.Popen[bytes]:
    secrets = tmp_path / "gateway.env"
    secrets.write_text(f"GROQ_API_KEY={ODD}\n\n# nothing\n")
    (tmp_path / "litellm.py").write_text(LITELLM)
    return subprocess.Popen(
        [sys.executable, "-u", str(SCRIPT), "127.0.0.1", str(port)],
        env={"PYTHONPATH": str(tmp_path), **({"SECRETS_FILE": str(secrets)} if named else {})},
        stdin=secrets.open("rb") if not named else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("named", [True, False], ids=["a file", "standard input"])
def test_litellm_gets_its_secrets_and_its_address_after_the_port_is_free(tmp_path: Path, named: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        started = start(tmp_path, port, named)
        assert started.stdout
        waiting = started.stdout.readline().decode()
        assert waiting.startswith(f"waiting until 127.0.0.1:{port} can be had: ")
        assert started.poll() is None
    said, _ = started.communicate(timeout=30)
    config = str(SCRIPT.with_name("config.yaml"))
    arguments = ["--config", config, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    assert [json.loads(line) for line in said.splitlines()] == [[arguments, ODD]]
