"""A road of a given length: runs a command as SSH's ProxyCommand and holds back what passes, each way, by some time.

    python -m tests.bench.delay 0.040 docker exec -i lab-desk tailscale nc apex 22

Kernels without `netem` cannot lengthen a road themselves; this one is as long everywhere.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time

BLOCK = 1 << 16


def carry(source: int, target: int, delay_s: float) -> None:
    """Pass on what comes from `source`, each piece `delay_s` after it came; then its end."""
    on_the_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def take() -> None:
        while True:
            try:
                data = os.read(source, BLOCK)
            except OSError:
                data = b""
            on_the_way.put((time.monotonic() + delay_s, data))
            if not data:
                return

    threading.Thread(target=take, daemon=True).start()
    while True:
        due, data = on_the_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        if not data:
            break
        try:
            while data:
                data = data[os.write(target, data) :]
        except OSError:
            break
    os.close(target)


def main() -> int:
    one_way_s, command = float(sys.argv[1]), sys.argv[2:]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    there = threading.Thread(target=carry, args=(0, os.dup(process.stdin.fileno()), one_way_s), daemon=True)
    process.stdin.close()
    there.start()
    carry(process.stdout.fileno(), 1, one_way_s)
    process.kill()
    return process.wait()


if __name__ == "__main__":
    sys.exit(main())
