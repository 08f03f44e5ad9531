"""Another project beside ours stays byte for byte as it is; and whatever becomes of it, its snapshot shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from .conftest import REPOSITORY, Desk, Machine, described
from .neighbours import ENVIRONMENT, HOME, Neighbour, assert_untouched, differing, living

Done = str | Callable[[Machine], object]


class Change(NamedTuple):
    """Done to TP3 and undone, by a shell script or by what a person at Windows would do; the parts it shows in."""

    do: Done
    undo: Done
    parts: list[str]


def _says(verb: str, **values: object) -> Callable[[Machine], object]:
    return lambda machine: machine.control(verb, **values)


def _byte(path: str) -> tuple[str, str]:
    """Another first byte; its times are put back too."""
    change = (
        f"cp -p {path} /root/kept && printf X | dd of={path} conv=notrunc status=none && touch -r /root/kept {path}"
    )
    return change, f"cp -p /root/kept {path} && rm /root/kept"


ANYWHERE = {
    "its container's policy": Change(
        "docker update --restart no tp3", "docker update --restart unless-stopped tp3", ["container"]
    ),
}
WANTED = "/etc/systemd/system/multi-user.target.wants/tp3.service"
ON_LINUX = {
    "a byte of a file that nobody serves": Change(*_byte("/srv/tp3/key"), ["files"]),
    "a byte of what its ports answer": Change(*_byte("/srv/tp3/data/settings.ini"), ["answers", "files"]),
    "the access of a file": Change("chmod 640 /srv/tp3/key", "chmod 600 /srv/tp3/key", ["files"]),
    "its task": Change("systemctl stop tp3-nightly.timer", "systemctl start tp3-nightly.timer", ["tasks"]),
    "a rule": Change("iptables -A TP3 -j RETURN", "iptables -D TP3 -j RETURN", ["rules"]),
    "a variable": Change(
        "sed -i s/TP3_MODE=p/TP3_MODE=q/ /etc/environment",
        "sed -i s/TP3_MODE=q/TP3_MODE=p/ /etc/environment",
        ["variables"],
    ),
    "its service started at boot": Change(
        f"mv {WANTED} /root/kept && systemctl daemon-reload",
        f"mv /root/kept {WANTED} && systemctl daemon-reload",
        ["files", "services"],
    ),
}
ACCESS = "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"
TASK = r"\TP3\nightly"
RULE = "v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile={}|LPort=8090|Name=TP3 web|"
ON_WINDOWS = {
    "a byte of a file that nobody serves": Change(*_byte("/var/lib/windows/C/TP3/private/key"), ["files"]),
    "a byte of what its port answers": Change(*_byte("/var/lib/windows/C/TP3/data/settings.ini"), ["answers", "files"]),
    "the access of a folder": Change(
        _says("acl", path=rf"{HOME}\private", sddl=f"{ACCESS}(A;OICI;FR;;;BU)"),
        _says("acl", path=rf"{HOME}\private", sddl=ACCESS),
        ["files"],
    ),
    "its task": Change(
        _says("task", name=TASK, do="edit", find="T03:00", replace="T04:00"),
        _says("task", name=TASK, do="edit", find="T04:00", replace="T03:00"),
        ["tasks"],
    ),
    "a rule": Change(
        _says("rule", name="TP3 web", text=RULE.format("Public")),
        _says("rule", name="TP3 web", text=RULE.format("Private")),
        ["rules"],
    ),
    "a variable": Change(
        _says("set", key=ENVIRONMENT, name="TP3_HOME", data=rf"{HOME}2"),
        _says("set", key=ENVIRONMENT, name="TP3_HOME", data=HOME),
        ["variables"],
    ),
    "a registry value": Change(
        _says("set", key=r"HKLM\SOFTWARE\TP3\Store", name="Seal", data="00ff34", type="binary"),
        _says("set", key=r"HKLM\SOFTWARE\TP3\Store", name="Seal", data="00ff33", type="binary"),
        ["registry"],
    ),
    "its service started at boot": Change(
        _says("service", name="TP3", start=3), _says("service", name="TP3", start=2), ["services"]
    ),
}
IS_WINDOWS = described()["machines"]["apex"].get("os") == "windows"
CHANGES = {**ANYWHERE, **(ON_WINDOWS if IS_WINDOWS else ON_LINUX)}


@pytest.fixture(scope="module")
def tp3(machines: dict[str, Machine], lab: dict[str, Any]) -> Iterator[Neighbour]:
    with living(machines["apex"], lab) as neighbour:
        yield neighbour


@pytest.mark.parametrize("what", CHANGES)
def test_the_snapshot_sees(what: str, apex: Machine, tp3: Neighbour) -> None:
    change, before = CHANGES[what], tp3.snapshot()
    try:
        _do(apex, change.do)
        assert differing(before, tp3.snapshot()) == change.parts
    finally:
        _do(apex, change.undo)
    assert_untouched(before, tp3.snapshot())


def _do(machine: Machine, how: Done) -> None:
    machine.sh(how) if isinstance(how, str) else how(machine)


def test_the_snapshot_sees_that_something_was_started_again(apex: Machine, tp3: Neighbour) -> None:
    before = tp3.snapshot()
    apex.sh("docker restart tp3")
    tp3.await_answers()
    between = tp3.snapshot()
    assert differing(before, between) == ["container", "ports"]
    if apex.windows:
        apex.control("service", name="TP3", state="stopped")
        apex.control("service", name="TP3", state="running")
    else:
        apex.sh("systemctl restart tp3")
        tp3.await_answers()
    assert differing(between, tp3.snapshot()) == (["services"] if apex.windows else ["ports", "services"])


def test_all_of_it_stays_while_the_gateway_goes_and_comes(copy: Desk, apex: Machine, tp3: Neighbour) -> None:
    before = tp3.snapshot()
    copy.edit("deploys/apex.py", "        gateway.serve()\n", "")
    assert copy.run("converge", "HOST=apex").code == 0
    assert apex.sh_at("test -e {} && echo there", "gateway", check=False) == ""
    assert apex.sh("docker ps --format '{{.Names}}'") == "tp3"
    assert ":4000 " not in apex.sh("ss -Hltn")
    assert_untouched(before, tp3.snapshot())
    assert Desk(REPOSITORY).run("converge", "HOST=apex").code == 0
    assert_untouched(before, tp3.snapshot())
