"""The same commands over pyinfra itself, on this computer as `@local` and on a closed port."""

from __future__ import annotations

import re
import signal
import socket
import time
from pathlib import Path

import pytest

from .conftest import Checkout

STEPS = """
from pyinfra import host
from pyinfra.operations import server
if "apex" in host.groups:
    server.shell(name="Say it", commands=["true"])
    server.shell(name="Leave it", commands=["true"], _if=lambda: False)
"""


@pytest.fixture
def here(checkout: Checkout) -> Checkout:
    checkout.with_real_pyinfra()
    checkout.write("inventory.py", 'apex = ["@local"]\n')
    checkout.write("deploys/apex.py", STEPS)
    return checkout


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_steps_are_counted(here: Checkout) -> None:
    ran = here.run("converge")
    assert ran.code == 0, ran.err
    assert "@local  ~ Say it" in ran.out
    assert "@local  = Leave it" in ran.out
    assert len(ran.out.splitlines()) == 4, "two steps, a blank, the summary"
    assert re.search(r"^@local: 1 changed, 1 as wanted, \d+\.\d s$", ran.out, re.M)


def test_bad_data_is_one_sentence(here: Checkout) -> None:
    here.write(
        "group_data/apex.py",
        "from pyinfra.api.exceptions import PyinfraError\n"
        "class Nonsense(PyinfraError, ValueError): ...\n"
        "raise Nonsense(\"Model('x'): vram_gb = -1 must not be negative\")\n",
    )
    for command in ("plan", "converge", "status"):
        ran = here.run(command)
        assert (ran.code, ran.err) == (1, "Model('x'): vram_gb = -1 must not be negative\n")


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("group_data/apex.py", "models = [Modle()]\n", ["group_data/apex.py line 1", "name 'Modle' is not defined"]),
        ("group_data/apex.py", "models = [\n", ["group_data/apex.py", "was never closed"]),
        ("inventory.py", "apex = [\n", ["inventory.py line 1", "was never closed"]),
        (
            "deploys/apex.py",
            "import nothing_like_it\n",
            ["deploys/apex.py line 1", "No module named 'nothing_like_it'"],
        ),
    ],
)
def test_a_slip_in_python_is_one_sentence(here: Checkout, path: str, text: str, words: list[str]) -> None:
    here.write(path, text)
    for command in ("plan", "converge"):
        ran = here.run(command)
        assert ran.code == 1
        told = ran.err.splitlines()
        assert len(told) == 1, ran.err
        assert all(word in told[0] for word in words), told


def test_an_unreachable_machine_leaves_the_others_alone(here: Checkout) -> None:
    data = {"ssh_hostname": "127.0.0.1", "ssh_port": _closed_port(), "ssh_connect_retries": 0}
    here.write("inventory.py", f'apex = ["@local"]\ng16 = [("g16", {data!r})]\n')
    ran = here.run("converge")
    assert ran.code == 1
    assert "@local: 1 changed, 1 as wanted" in ran.out
    assert re.fullmatch(r"g16: cannot be reached \(.+\): see that it is on and on the tailnet .*\n", ran.err)
    plan = here.run("plan")
    assert plan.code == 1
    assert "g16   ! cannot be reached" in plan.out


def test_all_unreachable_is_one_sentence_each(here: Checkout) -> None:
    data = {"ssh_hostname": "127.0.0.1", "ssh_port": _closed_port(), "ssh_connect_retries": 0}
    here.write("inventory.py", f'apex = [("apex", {data!r})]\ng16 = [("g16", {data!r})]\n')
    ran = here.run("converge")
    assert ran.code == 1
    assert sorted(line.split()[0] for line in ran.err.splitlines()) == ["apex:", "g16:"]


def test_an_unknown_address_is_one_sentence(here: Checkout) -> None:
    here.write("inventory.py", 'apex = [("apex", {"ssh_hostname": "nobody.invalid"})]\n')
    ran = here.run("plan")
    assert ran.code == 1
    assert "inventory.py has the name right" in ran.out


def test_interrupted_in_the_middle_is_130(here: Checkout, tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    here.write(
        "deploys/apex.py",
        "from pyinfra.operations import server\n"
        f'server.shell(name="Take long", commands=["touch {mark}; exec sleep 40"])\n',
    )
    process = here.start("converge")
    deadline = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, out + err
    assert "Traceback" not in out + err
    assert time.monotonic() - began < 10, "it waited for the command's end"


def test_its_debug_log_stays_out_of_the_work_tree(here: Checkout) -> None:
    """pyinfra writes one for what it takes for its own bug, such as an inventory of strange things."""
    here.write("inventory.py", "class Strange:\n    pass\n\n\napex = [(Strange(), 5)]\n")
    ran = here.run("plan")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1, ran.err
    assert not (here.root / "pyinfra-debug.log").exists()
    kept = here.state / "llm-harness" / "pyinfra-debug.log"
    assert kept.stat().st_mode & 0o777 == 0o600

    mine = here.write("pyinfra-debug.log", "of another run\n")
    assert here.run("plan").code == 1
    assert mine.read_text() == "of another run\n"
