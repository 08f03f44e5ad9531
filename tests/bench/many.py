"""A host file with more resources than any real one: what a converge costs must not grow with them in round trips.

BENCH_HOW=look is our own way: one look for all. BENCH_HOW=each asks for them one by one, a process each, as a tool
does that reads every fact with its own command.
"""

import json
import os

from pyinfra import host

from deploys.facts import link
from deploys.lib.paths import joined
from deploys.operations import files
from deploys.roles import machine

COUNT = int(os.environ.get("BENCH_RESOURCES", "100"))

with machine.converging():
    folder = joined(host.data.agent.home, "bench")
    paths = [joined(folder, f"{number}.txt") for number in range(COUNT)]
    if os.environ.get("BENCH_HOW") == "each":
        for path in paths:
            ok, out, said = link.run(host, link.command(host, "read"), json.dumps({"id": path, "nonce": None}))
            assert ok, f"{path}: {out}{said}"
    else:
        files.directory(name="The bench's directory", path=folder, access="administrators")
        for number, path in enumerate(paths):
            files.config(name=f"File {number}", dest=path, text=f"{number}\n", access="administrators")
