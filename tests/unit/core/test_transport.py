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


def test_a_full_pipe_takes_all_of_it_in_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1000000", "1000000"], done.stderr
