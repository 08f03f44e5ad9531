"""Folders of ours that a user made before us on Windows, and links where an account of less trust writes."""

from __future__ import annotations

from typing import Any

import pytest

from .benches import StandInBench
from .standin import security
from .standin.handles import junction
from .standin.machine import USER_SID, Machine
from .test_standin_verbs import Desk

BERT = "S-1-5-21-1004336348-1177238915-682003330-1002"
FOLDER = r"C:\litellm"
PLANTED = FOLDER + r"\app\compose.override.yaml"
SERVICE: dict[str, Any] = {"command": [r"C:\work\forever.exe"], "account": "own", "state": r"C:\ProgramData\Ollama"}
OWN = {**SERVICE, "description": "x", "environment": {}}
ASKED = {
    "directory": (FOLDER, {"access": "everyone"}),
    "release": (FOLDER, {}),
    "venv": (FOLDER, {}),
    "service": ("ollama", {**SERVICE, "state": FOLDER}),
}


@pytest.fixture
def desk(machine: Machine, bench: StandInBench) -> Desk:
    return Desk(machine, bench.home + r"\agent-0.pyz")


def look(desk: Desk, kind: str, name: str, spec: dict[str, Any]) -> Any:
    seen = desk.ask("look", {"asked": [[kind, name, spec]], "programs": []})["state"][kind][name]
    return seen["unknown"] if seen and "unknown" in seen else seen


def plant(machine: Machine, path: str, owner: str) -> None:
    """A file whose folder, and what it inherits, let everybody write."""
    machine.drive.write(path, b"theirs")
    own(machine, path, owner)


def own(machine: Machine, path: str, owner: str) -> None:
    machine.drive.descriptor(path)
    machine.drive.owner_is_user = owner
    machine.drive.born(path)
    machine.drive.owner_is_user = None


def may_write(machine: Machine, path: str) -> bool:
    descriptor = machine.drive.descriptor(path)
    return any(
        security.allows(descriptor, machine.token(BERT), right)
        for right in (security.WRITE, security.ADD_FOLDER, security.DELETE, security.WRITE_DAC, security.DELETE_CHILD)
    )


@pytest.mark.parametrize("kind", [*ASKED])
@pytest.mark.parametrize("whose", [FOLDER, PLANTED])
def test_what_a_user_put_there_is_not_taken_over(desk: Desk, machine: Machine, kind: str, whose: str) -> None:
    plant(machine, PLANTED, security.ADMINISTRATORS)
    own(machine, whose, BERT)
    name, spec = ASKED[kind]
    assert look(desk, kind, name, spec) == {
        "what": rf"take over {FOLDER}",
        "why": f"{whose} belongs to Bert, who could have put anything there",
        "fix": f"see who made that; move {FOLDER} away, or have administrators own all of it, and converge again",
    }
    request = {"spec": {**OWN, "state": FOLDER}} if kind == "service" else {"access": "everyone"}
    assert "belongs to Bert" in desk.do(kind, name, **request)["error"]["why"]
    assert desk.look()["manifest"] == []
    assert machine.drive.descriptor(whose).owner == BERT
    assert machine.drive.read(PLANTED) == b"theirs"


@pytest.mark.parametrize("where", ["", r"\app"])
def test_a_link_is_not_taken_over(desk: Desk, machine: Machine, where: str) -> None:
    if where:
        machine.drive.make(FOLDER)
    junction(machine.drive, FOLDER + where, r"C:\Windows\System32", security.ADMINISTRATORS)
    before = machine.drive.descriptor(r"C:\Windows\System32")
    assert (
        look(desk, "directory", FOLDER, {"access": "everyone"})["why"] == f"{FOLDER}{where} is a link to another place"
    )
    assert "is a link" in desk.do("directory", FOLDER, access="everyone")["error"]["why"]
    assert machine.drive.descriptor(r"C:\Windows\System32") == before


def test_an_access_list_that_nobody_can_read_is_not_taken_over(desk: Desk, machine: Machine) -> None:
    machine.drive.make(FOLDER)
    machine.drive.sddl = lambda path: "O:BAD:NO_ACCESS_CONTROL"  # type: ignore[method-assign]
    assert "cannot be read" in desk.do("directory", FOLDER, access="everyone")["error"]["why"]


def test_an_account_that_is_gone_is_named_by_its_number(desk: Desk, machine: Machine) -> None:
    plant(machine, PLANTED, "S-1-5-21-9-9-9-1001")
    assert "belongs to S-1-5-21-9-9-9-1001" in look(desk, "directory", FOLDER, {"access": "everyone"})["why"]


def test_the_owners_own_older_folder_is_taken_over(desk: Desk, machine: Machine) -> None:
    """Made by himself before, elevated or not: his files stay, and nobody but administrators changes them."""
    plant(machine, PLANTED, USER_SID)
    plant(machine, FOLDER + r"\by an administrator", security.ADMINISTRATORS)
    for each in (FOLDER, FOLDER + r"\app"):
        own(machine, each, USER_SID)
    secret = FOLDER + r"\secret"
    plant(machine, secret, USER_SID)
    machine.drive.descriptors[machine.drive.key(secret)] = security.parse(f"O:{USER_SID}D:P(A;;FA;;;{USER_SID})")
    explicit = FOLDER + r"\explicit"
    plant(machine, explicit, security.ADMINISTRATORS)
    machine.drive.descriptors[machine.drive.key(explicit)] = security.parse("O:BAD:(A;;FA;;;BA)(A;;0x1301bf;;;BU)")
    assert may_write(machine, PLANTED)
    seen = look(desk, "directory", FOLDER, {"access": "everyone"})
    assert seen["wide"] is True
    assert desk.made("directory", FOLDER, access="everyone") == {"access": "everyone"}
    for path in (FOLDER, FOLDER + r"\app", PLANTED, secret, explicit, FOLDER + r"\by an administrator"):
        assert machine.drive.descriptor(path).owner == security.ADMINISTRATORS
        assert not may_write(machine, path), path
    cut_off = {path: machine.drive.descriptor(path).protected for path in (FOLDER, PLANTED, explicit, secret)}
    assert cut_off == {FOLDER: True, PLANTED: False, explicit: False, secret: True}  # the others inherit from now on
    assert machine.drive.read(PLANTED) == b"theirs"
    users = machine.token(BERT)
    assert security.allows(machine.drive.descriptor(PLANTED), users, security.READ)
    assert not security.allows(machine.drive.descriptor(secret), users, security.READ)
    assert look(desk, "directory", FOLDER, {"access": "everyone"}) == {"access": "everyone"}


def test_files_of_the_services_own_account_are_its_own(desk: Desk, machine: Machine, bench: StandInBench) -> None:
    """The list of what is ours may be lost: what the service wrote is no stranger's."""
    state = SERVICE["state"]
    desk.made("service", "ollama", spec=OWN, inputs={}, answers=None, within_s=1)
    plant(machine, state + r"\models\blob", security.LOCAL_SERVICE)
    machine.drive.wipe_file(bench.home + r"\managed.json")
    seen = look(desk, "service", "ollama", SERVICE)
    assert (seen["intact"], "wide" in seen) == (True, False)
    desk.made("service", "ollama", spec=OWN, inputs={}, answers=None, within_s=1)
    assert machine.drive.descriptor(state + r"\models\blob").owner == security.LOCAL_SERVICE
    plant(machine, state + r"\models\other", BERT)
    machine.drive.wipe_file(bench.home + r"\managed.json")
    assert "belongs to Bert" in look(desk, "service", "ollama", SERVICE)["why"]


def test_a_service_without_a_folder_of_its_own_has_none_to_look_at(desk: Desk) -> None:
    assert look(desk, "service", "sshd", {}) == {"running": True, "enabled": True, "inputs": {}}


def test_what_is_ours_already_is_not_searched(desk: Desk, machine: Machine) -> None:
    desk.made("directory", FOLDER, access="everyone")
    plant(machine, PLANTED, BERT)
    assert look(desk, "directory", FOLDER, {"access": "everyone"}) == {"access": "everyone"}
    assert "error" not in desk.do("directory", FOLDER, access="administrators")


def test_a_folder_that_is_given_to_a_user_may_be_full_of_theirs(desk: Desk, machine: Machine) -> None:
    plant(machine, r"C:\notes\file", BERT)
    own(machine, r"C:\notes", BERT)
    assert "error" not in desk.do("directory", r"C:\notes", access="only Bert")


# -- the object itself
def test_access_is_set_where_it_was_looked_at(bench: StandInBench, machine: Machine) -> None:
    """Swapped for a link in between, the folder that was looked at gets it, and what the link leads to nothing."""
    ntfs, acl, drive = bench.load("windows.ntfs"), bench.load("windows.acl"), machine.drive
    drive.make(FOLDER)
    before = drive.descriptor(r"C:\Windows\System32")

    def swap(found: Any) -> Any:
        drive.move(FOLDER, r"C:\aside", machine.token(security.SYSTEM), False)
        junction(drive, FOLDER, r"C:\Windows\System32", BERT)
        return acl.wanted("administrators", True, str)

    ntfs.secure(FOLDER, swap)
    assert drive.descriptor(r"C:\Windows\System32") == before
    assert drive.descriptor(r"C:\aside").protected
    assert drive.descriptor(FOLDER).owner == BERT


def test_access_is_not_set_on_a_link(bench: StandInBench, machine: Machine) -> None:
    junction(machine.drive, FOLDER, r"C:\Windows\System32", BERT)
    before = machine.drive.descriptor(r"C:\Windows\System32")
    with pytest.raises(bench.load("errors").Refused, match="is a link to another place"):
        bench.load("windows.system").Windows().grant(FOLDER, "everyone")
    assert machine.drive.descriptor(FOLDER).owner == BERT
    assert machine.drive.descriptor(r"C:\Windows\System32") == before


def test_a_folder_that_is_given_away_in_between(bench: StandInBench, machine: Machine) -> None:
    ownership, sddl = bench.load("windows.ownership"), bench.load("windows.sddl")
    now = sddl.parse(f"O:{BERT}D:(A;;FA;;;BA)")
    with pytest.raises(bench.load("errors").Refused, match="just given to Bert"):
        ownership._narrowed(FOLDER, now, "", True, True)


def test_access_that_stays_open_is_said(bench: StandInBench, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies below inherits anew by Windows' own doing: should that fail once, it is not believed."""
    bench.load("windows.system")
    monkeypatch.setattr(bench.load("windows.ntfs"), "secure", lambda *_: None)
    machine.drive.make(FOLDER)
    with pytest.raises(bench.load("errors").Refused, match="lets others change it still"):
        bench.load("windows.ownership").look_over(FOLDER, "", True, True)


def test_logs_are_not_read_or_removed_through_links(bench: StandInBench, machine: Machine) -> None:
    """Its account writes in the folder of its log, and may put a link in the folder's place."""
    system = bench.load("windows.system").Windows()
    system.define_service({**OWN, "name": "ollama"})
    log, other = rf"{bench.home}\services\ollama\log", r"C:\ProgramData\other"
    bench.write(other + r"\ollama.log", b"GROQ_API_KEY=gsk-secret\n")
    bench.write(other + r"\began", b"7")
    machine.drive.wipe(log)
    assert system.log_tail("ollama", 5) == ""
    junction(machine.drive, log, other, security.LOCAL_SERVICE)
    assert "gsk-secret" not in system.log_tail("ollama", 5)
    assert "leads to another place" in system.log_tail("ollama", 5)
    assert system.restarts_of("ollama") == 0
    with pytest.raises(bench.load("errors").Refused, match="leads to another place"):
        system.start_service("ollama")
    assert bench.exists(other + r"\began")


def test_a_service_of_the_system_s_own_has_no_folder(desk: Desk, machine: Machine) -> None:
    """The session starts in its user's folder, which is there: no name at all is not that one."""
    machine.drive.make(r"C:\Users\Anna")
    assert "what" not in look(desk, "service", "sshd", {})
