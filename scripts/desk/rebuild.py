"""HOST= from bare (bootstrap done) to verified, with a stopwatch."""

from __future__ import annotations

import subprocess
import time

from scripts.desk import converge, machines, road, say, verify
from scripts.desk.desk import Desk, Trouble, Wish
from scripts.desk.machines import Machine
from scripts.desk.stopwatch import Stopwatch, spoken

WAIT_S = 600
ONCE_S = 30
QUICK = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=5")


def run(desk: Desk, wish: Wish) -> int:
    machine = machines.one(desk, wish, "rebuild")
    watch = Stopwatch()
    with watch.part("waiting for SSH"):
        wait_for_ssh(machine, WAIT_S)
    roles: dict[str, float] = {}
    name = "converge"
    with watch.part(name):
        code = converge.run(desk, wish, roles)
    if not code:
        name = "verify"
        with watch.part(name):
            code = verify.run(desk, wish)
    print(f"\n{machine['name']}: {'rebuilt and verified' if code == 0 else f'{name} ended with {code}'}")
    print(watch.table({"converge": roles}))
    return code if code in (0, 130) else 1


def wait_for_ssh(machine: Machine, within_s: float) -> None:
    """Returns as soon as the machine lets us in. Raises Trouble with ssh's own words when it does not in time."""
    name, start = machine["name"], time.monotonic()
    bootstrap = "bootstrap.cmd" if "windows" in machine["groups"] else "bootstrap.sh"
    line = [*road.command(machine, QUICK), "echo here"]
    said = False
    while words := refusal(line):
        if "Host key verification failed" in words or "Permission denied" in words:
            raise Trouble(
                f"{name} answers but does not let this desk in ({words}): run scripts/{bootstrap} there, "
                f"then `ssh-keygen -R {name}`, connect once by hand and compare the key"
            )
        if time.monotonic() - start > within_s:
            raise Trouble(
                f"{name} did not answer within {spoken(within_s)} ({words}): see that it is on and on the tailnet"
            )
        if not said:
            say.line(name, " ", f"waiting for its SSH ({words})")
            said = True
        time.sleep(2)


def refusal(line: list[str]) -> str:
    """The last words of an exec that came to nothing; "" when it went well."""
    try:
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=ONCE_S)
    except subprocess.TimeoutExpired:  # a machine that goes down right after the login
        return f"no end within {ONCE_S} s"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no word"]
    return said[-1] if done.returncode else ""
