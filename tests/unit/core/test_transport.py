"""Nothing large is lost on the way through a ProxyCommand, as pyinfra runs it."""

from __future__ import annotations

import subprocess
import sys

# As pyinfra does it: gevent's cooperative pipes, which take what fits. The command reads late.
PROGRAM = """
from gevent import monkey; monkey.patch_all()
import paramiko
from deploys.lib.transport import low_latency
proxy = paramiko.ProxyCommand("sh -c 'sleep 0.5; wc -c >&2'")
low_latency(proxy)
content = b"x" * 1_000_000
print(proxy.send(content))
proxy.process.stdin.close()
print(proxy.process.stderr.read().decode().strip())
"""

# A road that breaks off right after the banner: paramiko's own thread must hear of it.
BREAKS = """
from gevent import monkey; monkey.patch_all()
import paramiko
from deploys.lib.transport import low_latency
proxy = paramiko.ProxyCommand("sh -c 'echo SSH-2.0-x; sleep 0.5'")
transport = low_latency(proxy)
try:
    transport.start_client(timeout=20)
except (EOFError, paramiko.SSHException) as error:
    print(type(error).__name__, transport.is_active())
"""


def test_a_full_pipe_takes_all_of_it_in_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1000000", "1000000"], done.stderr


def test_the_end_of_the_command_is_the_end_of_the_connection() -> None:
    done = subprocess.run([sys.executable, "-c", BREAKS], capture_output=True, text=True, timeout=60)
    assert done.stdout.split()[1:] == ["False"], done.stderr
    assert "timeout" not in done.stderr.lower()
