"""Who gets in to a Windows Apex, knocked at from its LAN and the tailnet: the lab keeps to its firewall's rules."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Desk, Machine, described, until
from .neighbours import WEB, Neighbour, living
from .tampers import SHIPPED

DOOR, GATEWAY, ENGINE, THEIRS = 22, 4000, 11434, WEB
SSH_RULE = "OpenSSH SSH Server (sshd)"
DATA, UNDO_S = "group_data/windows.py", 20
SHUT = "llm-harness shut"
WINDOWS = described()["machines"]["apex"].get("os") == "windows"
pytestmark = pytest.mark.skipif(
    not WINDOWS, reason="Apex has no rules of ours: its ports are bound to the tailnet alone"
)
KNOCK = """
import json, socket, sys
def opens(port):
    try:
        socket.create_connection((sys.argv[1], int(port)), 2).close()
        return True
    except OSError:
        return False
print(json.dumps([int(port) for port in sys.argv[2:] if opens(port)]))
"""


def open_to(lab: dict[str, Any], who: str, *ports: int) -> list[int]:
    """At which of these ports of Apex something answers `who`: the neighbour on its LAN, or G16 on the tailnet."""
    address = lab["machines"]["apex"]["lan_ip" if who == "neighbour" else "tailnet_ip"]
    container = (lab["neighbour"] if who == "neighbour" else lab["machines"][who])["container"]
    command = ["docker", "exec", container, "python3", "-c", KNOCK, address, *map(str, ports)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    found: list[int] = json.loads(done.stdout)
    return found


@pytest.fixture
def theirs(apex: Machine, lab: dict[str, Any]) -> Iterator[Neighbour]:
    with living(apex, lab) as found:
        found.await_answers()
        yield found


def test_the_lan_is_let_in_to_nothing_of_ours(lab: dict[str, Any], theirs: Neighbour) -> None:
    """The other project's port stays open to it."""
    assert open_to(lab, "neighbour", DOOR, GATEWAY, ENGINE, THEIRS) == [THEIRS]


def test_the_tailnet_is_let_in_to_ssh_and_the_gateway(lab: dict[str, Any], apex: Machine) -> None:
    assert open_to(lab, "g16", DOOR, GATEWAY, ENGINE) == [DOOR, GATEWAY]


def test_a_rule_that_opens_to_anybody_does(lab: dict[str, Any], apex: Machine) -> None:
    """Else the silence above would prove nothing."""
    before = apex.control("firewall")
    apex.control("rule", name=SSH_RULE, text=SHIPPED)
    try:
        until(lambda: open_to(lab, "neighbour", DOOR) == [DOOR], 10)
    finally:
        was = {"text": before[SSH_RULE]} if SSH_RULE in before else {"do": "delete"}
        apex.control("rule", name=SSH_RULE, **was)
    until(lambda: open_to(lab, "neighbour", DOOR) == [], 10)
    assert apex.control("firewall") == before


def test_a_rule_that_shuts_us_out_is_undone_and_said(
    lab: dict[str, Any], copy: Desk, desk: Desk, apex: Machine
) -> None:
    """Nobody can confirm it over a fresh connection; the machine itself takes it back."""
    before = apex.control("firewall")
    copy.edit(
        DATA, "firewall_rules = [\n", f'firewall_rules = [\n    FirewallRule("{SHUT}", "block", ports=[{DOOR}]),\n'
    )
    copy.edit(DATA, "agent = Agent(\n", f"agent = Agent(\n    undo_after_s={UNDO_S},\n")
    assert copy.run("plan", "HOST=apex").changes() == [f"apex firewall_rule {SHUT}"]
    running = copy.start("HOST=apex")
    shut = False
    while running.poll() is None:
        shut = shut or not open_to(lab, "g16", DOOR)
        time.sleep(0.5)
    said = running.communicate()[0]
    assert running.returncode == 1
    assert shut, "it never stood in the way: its undoing proves nothing"
    (line,) = [each for each in said.splitlines() if each.startswith(f"apex: firewall_rule {SHUT} is not changed")]
    assert f"no fresh SSH connection came through within {UNDO_S} s" in line
    assert "the machine undid it and is reachable as before" in line
    assert "Traceback" not in said
    assert apex.control("firewall") == before
    assert open_to(lab, "g16", DOOR, GATEWAY) == [DOOR, GATEWAY]
    assert desk.run("plan", "HOST=apex").code == 0
