"""The agent's Windows half: the same tests on the stand-in machine and on Windows itself."""

from __future__ import annotations

import ntpath
import threading
from typing import Any

import pytest

from .benches import Bench, until


@pytest.fixture
def system(bench: Bench) -> Any:
    return bench.load("windows.system").Windows()


def path(bench: Bench, *names: str) -> str:
    return ntpath.join(bench.home, *names)


def test_describe(system: Any) -> None:
    found = system.describe()
    assert found["os"] == "windows"
    assert found["release"].startswith("10.0.")
    assert found["architecture"] in ("x86_64", "aarch64")
    assert found["hostname"]


def test_no_program_comes_from_the_present_folder(bench: Bench, system: Any) -> None:
    """Documented: with this variable SearchPath, cmd.exe and Python's `shutil.which` leave that folder out."""
    assert system.home
    assert bench.load("windows.system").os.environ["NODEFAULTCURRENTDIRECTORYINEXEPATH"]


# -- files
@pytest.mark.parametrize(
    "access", ["administrators", "everyone", "administrators +x", "everyone +x", "only", "only +x"]
)
def test_access_of_a_file_comes_back(bench: Bench, system: Any, access: str) -> None:
    access = access.replace("only", f"only {bench.user}")
    file = path(bench, "file")
    bench.write(file, b"x")
    system.grant(file, access)
    assert system.access_of(file) == access
    system.grant(file, access)
    assert system.access_of(file) == access


@pytest.mark.parametrize("access", ["administrators", "everyone", "only"])
def test_access_of_a_directory_is_handed_down(bench: Bench, system: Any, access: str) -> None:
    access = access.replace("only", f"only {bench.user}")
    folder = path(bench, "folder")
    system.make_private(folder)
    assert system.access_of(folder) == "administrators"
    system.grant(folder, access)
    bench.write(ntpath.join(folder, "below"), b"")
    assert system.access_of(folder) == access
    below = bench.load("windows.sddl").parse(bench.load("windows.ntfs").access(ntpath.join(folder, "below")))
    above = bench.load("windows.sddl").parse(bench.load("windows.ntfs").access(folder))
    assert {(ace.sid, ace.mask) for ace in below.aces} == {(ace.sid, ace.mask) for ace in above.aces}


def test_strange_access_is_said_and_can_be_given_back(bench: Bench, system: Any) -> None:
    file = path(bench, "file")
    bench.write(file, b"")
    strange = "O:S-1-5-32-544D:P(A;;0x120089;;;S-1-5-11)(A;;0x1f01ff;;;S-1-5-32-544)"
    system.grant(file, strange)
    assert system.access_of(file) == strange
    system.grant(file, "administrators")
    with pytest.raises(bench.load("errors").Refused, match="says none"):
        system.grant(file, "root:root 0644")
    with pytest.raises(bench.load("errors").Refused, match="no user of that name"):
        system.grant(file, "only nobody-of-that-name")
    with pytest.raises(bench.load("errors").Refused, match=f"calls that user {bench.user}"):
        system.grant(file, f"only {bench.user.swapcase()}")
    assert system.access_of(file) == "administrators"


def test_replace_keeps_the_access_of_the_new_one(bench: Bench, system: Any) -> None:
    old, new = path(bench, "old"), path(bench, "new")
    bench.write(old, b"old")
    bench.write(new, b"new")
    system.grant(old, "everyone")
    system.grant(new, "administrators")
    system.replace(new, old)
    assert bench.read(old) == b"new"
    assert not bench.exists(new)
    assert system.access_of(old) == "administrators"


def test_replace_waits_for_a_reader(bench: Bench, system: Any) -> None:
    old, new = path(bench, "old"), path(bench, "new")
    bench.write(old, b"old")
    bench.write(new, b"new")
    reader = bench.open(old)
    threading.Timer(0.2, reader.close).start()
    system.replace(new, old)
    assert bench.read(old) == b"new"


def test_replace_gives_up_and_leaves_the_old_one(bench: Bench, system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.load("patience"), "RETRY_S", 0.1)
    old, new = path(bench, "old"), path(bench, "new")
    bench.write(old, b"old")
    bench.write(new, b"new")
    with bench.open(old), pytest.raises(PermissionError) as problem:
        system.replace(new, old)
    assert problem.value.winerror == 5  # type: ignore[attr-defined,unused-ignore]
    assert (bench.read(old), bench.read(new)) == (b"old", b"new")
    system.make_private(path(bench, "folder"))
    with pytest.raises(PermissionError):
        system.replace(new, path(bench, "folder"))


def test_replace_a_file_that_was_marked_read_only(bench: Bench, system: Any) -> None:
    old, new = path(bench, "old"), path(bench, "new")
    bench.write(old, b"old")
    bench.write(new, b"new")
    bench.load("windows.ntfs").os.chmod(old, 0o444)
    system.replace(new, old)
    assert bench.read(old) == b"new"


def test_new_files_have_names_of_their_own_and_leave_nothing(bench: Bench, system: Any) -> None:
    fresh = bench.load("fresh")
    names = {fresh.write_new(bench.home, b"x") for _ in range(20)}
    assert len(names) == 20
    with pytest.raises(OSError):
        fresh.write_new(path(bench, "nowhere"), b"x")


# -- processes
def test_a_process_by_number_and_beginning(bench: Bench, system: Any) -> None:
    pid = bench.start("forever")
    began = system.started(pid)
    assert began
    assert system.is_alive(pid, began)
    assert not system.is_alive(pid, began + "1")
    assert not system.is_alive(pid, "")
    system.stop(pid)
    until(lambda: not system.is_alive(pid, began))
    assert system.started(pid) == ""
    system.stop(pid)


def test_stop_takes_the_whole_tree(bench: Bench, system: Any) -> None:
    win32 = bench.load("windows.win32")
    pid = bench.start("parent")

    def children() -> list[int]:
        return [each for each, (parent, _) in win32.processes().items() if parent == pid and win32.created(each)]

    until(children)
    below = children()
    system.stop(pid)
    until(lambda: not any(win32.created(each) for each in [pid, *below]))


def test_detached_work_outlives_the_session_and_leaves_no_task(bench: Bench, system: Any) -> None:
    log = path(bench, "log.txt")
    pid = system.detach(bench.command("forever"), log)
    began = system.started(pid)
    assert system.is_alive(pid, began)
    until(lambda: bench.exists(log) and b"up" in bench.read(log))
    system.stop(pid)
    until(lambda: not system.is_alive(pid, began))
    folder = path(bench, "held")
    assert bench.load("fresh").os.listdir(folder) == []


def test_detached_work_may_be_quick(bench: Bench, system: Any) -> None:
    log = path(bench, "log.txt")
    system.detach(bench.command("short"), log)
    until(lambda: bench.exists(log) and b"hello" in bench.read(log))


def test_detached_work_that_cannot_start_is_in_the_log(bench: Bench, system: Any) -> None:
    log = path(bench, "log.txt")
    system.detach([path(bench, "none.exe")], log)
    until(lambda: bench.exists(log) and b"cannot be started" in bench.read(log))


# -- services
SERVICE = "llm-harness-test"


@pytest.fixture
def spec(bench: Bench) -> dict[str, Any]:
    return {
        "name": SERVICE,
        "description": "a service of the tests",
        "account": "system",
        "state": path(bench, "state"),
        "environment": {"COLOUR": "blue"},
        "command": bench.command("environment"),
    }


def look(system: Any, name: str = SERVICE) -> Any:
    return system.services([{"name": name, "command": ["x"]}])[name]


def test_a_service_from_nothing_to_nothing(bench: Bench, system: Any, spec: dict[str, Any]) -> None:
    assert look(system) is None
    system.define_service(spec)
    found = look(system)
    assert found["spec"] == {key: value for key, value in spec.items() if key != "name"}
    assert (found["intact"], found["enabled"], found["running"]) == (True, True, False)
    try:
        system.start_service(SERVICE)
        until(lambda: look(system)["running"])
        until(lambda: "COLOUR=blue" in system.log_tail(SERVICE, 3))
        before = look(system)["process"]
        system.start_service(SERVICE)
        until(lambda: look(system)["running"])
        assert look(system)["process"] != before
        assert look(system)["intact"]
    finally:
        system.remove_service(SERVICE)
    assert look(system) is None
    assert system.log_tail(SERVICE, 3) == ""
    system.remove_service(SERVICE)


def test_the_tree_of_a_service_goes_with_it(bench: Bench, system: Any, spec: dict[str, Any]) -> None:
    system.define_service({**spec, "command": bench.command("parent")})
    win32 = bench.load("windows.win32")
    system.start_service(SERVICE)
    until(lambda: len(look(system)["process"].split(",")) >= 3)
    tree = [int(each) for each in look(system)["process"].split(",")]
    bench.load("windows.win32").run("schtasks.exe", ["/End", "/TN", "\\llm-harness\\" + SERVICE])
    until(lambda: not any(win32.created(each) for each in tree))
    system.remove_service(SERVICE)


def test_a_service_that_falls_over_comes_again(
    bench: Bench, system: Any, spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.load("windows.bootservices"), "PAUSE_S", 0.1)
    system.define_service({**spec, "command": bench.command("short")})
    system.start_service(SERVICE)
    until(lambda: system.log_tail(SERVICE, 50).count("ended with 3") >= 2)
    until(lambda: system.restarts_of(SERVICE) >= 2)
    system.define_service(spec)
    system.start_service(SERVICE)
    assert system.restarts_of(SERVICE) == 0
    system.remove_service(SERVICE)
    assert system.restarts_of(SERVICE) == 0


def test_a_definition_that_changed_is_seen_and_healed(bench: Bench, system: Any, spec: dict[str, Any]) -> None:
    system.define_service(spec)
    win32, folder = bench.load("windows.win32"), path(bench, "services", SERVICE)
    task = "\\llm-harness\\" + SERVICE
    for break_it in (
        lambda: win32.run("schtasks.exe", ["/Change", "/TN", task, "/DISABLE"]),
        lambda: win32.run("schtasks.exe", ["/Delete", "/TN", task, "/F"]),
        lambda: bench.write(ntpath.join(folder, "hold.json"), b"{}"),
        lambda: bench.write(ntpath.join(folder, "holder.pyz"), b"PK other"),
        lambda: system.grant(folder, "everyone"),
        lambda: bench.write(ntpath.join(folder, "service.json"), b"[]"),
        lambda: bench.load("fresh").os.unlink(ntpath.join(folder, "hold.json")),
    ):
        break_it()
        assert look(system)["intact"] is False
        system.define_service(spec)
        assert look(system)["intact"] is True
    system.define_service({**spec, "environment": {}})
    assert look(system)["spec"]["environment"] == {}
    system.remove_service(SERVICE)


def test_low_privilege(bench: Bench, system: Any, spec: dict[str, Any]) -> None:
    """LOCAL SERVICE reads its order and its program, writes its log and its state, and nothing more."""
    system.define_service({**spec, "account": "own"})
    sddl, ntfs = bench.load("windows.sddl"), bench.load("windows.ntfs")
    rights = {}
    for part in ("services/" + SERVICE, "services/" + SERVICE + "/log", "state"):
        found = sddl.parse(ntfs.access(path(bench, *part.split("/"))))
        assert {ace.sid for ace in found.aces} == {"S-1-5-18", "S-1-5-32-544", "S-1-5-19"}
        rights[part] = next(ace.mask for ace in found.aces if ace.sid == "S-1-5-19")
    assert list(rights.values()) == [sddl.READ_AND_RUN, sddl.MODIFY, sddl.MODIFY]
    system.remove_service(SERVICE)


def test_a_service_of_a_bad_name(bench: Bench, system: Any, spec: dict[str, Any]) -> None:
    with pytest.raises(bench.load("errors").Refused, match="other signs"):
        system.define_service({**spec, "name": "..\\x"})


def test_windows_own_services(system: Any) -> None:
    found = system.services([{"name": "Schedule-nobody"}, {"name": "Spooler"}])
    assert found["Schedule-nobody"] is None
    assert isinstance(found["Spooler"]["running"], bool)
    assert "spec" not in found["Spooler"]
