"""The stand-in of the Task Scheduler does what windows-tasks section 6 says."""

from __future__ import annotations

import re

import pytest

from .must import must
from .standin.machine import USER, USER_SID, Machine
from .standin.processes import Process
from .standin.use import ACTION, create, forever, row, shown, task_xml, tool, until

UNEXPECTED = {"en": "unexpected node", "de": "unerwarteten Knoten"}
BAD = {"en": "incorrectly formatted or out of range", "de": "falsch formatiert"}
MISSING = {"en": "missing a required element", "de": "fehlt ein erforderliches Element"}
CALENDAR = "<CalendarTrigger>{}<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay></CalendarTrigger>"
START = "<StartBoundary>2026-01-01T02:00:00</StartBoundary>"


@must("tasks 1")
def test_encodings_taken_and_refused(machine: Machine) -> None:
    xml = task_xml()
    assert create(machine, xml, "/F").code == 0
    assert create(machine, xml.encode("cp1252"), "/F").code == 0
    declared = '<?xml version="1.0" encoding="UTF-16"?>' + xml
    assert create(machine, declared, "/F").code == 0
    for raw, tail in (
        (b"\xef\xbb\xbf" + xml.encode(), "(1,2)::ERROR: incorrect document syntax"),
        (b"\xfe\xff" + xml.encode("utf-16-be"), "(1,2)::"),
        (declared.encode(), "(1,40)::ERROR: unable to switch the encoding"),
    ):
        said = create(machine, raw, "/F")
        assert said.code == 1
        assert tail in said.err


@must("tasks 2")
def test_the_canonical_form_comes_back(machine: Machine) -> None:
    triggers = "<BootTrigger><Enabled>true</Enabled></BootTrigger>"
    submitted = task_xml(triggers=triggers, settings="<Enabled>true</Enabled>", info="<Author>A</Author>")
    create(machine, submitted)
    found = shown(machine)
    order = [found.index(f"<{each}") for each in ("RegistrationInfo", "Principals", "Settings", "Triggers", "Actions")]
    assert order == sorted(order)
    assert "<BootTrigger />" in found
    assert submitted not in found


@must("tasks 3")
def test_defaults_are_dropped_and_three_always_written(machine: Machine) -> None:
    dropped = {
        "AllowHardTerminate": "true",
        "StartWhenAvailable": "false",
        "RunOnlyIfNetworkAvailable": "false",
        "AllowStartOnDemand": "true",
        "Enabled": "true",
        "Hidden": "false",
        "RunOnlyIfIdle": "false",
        "WakeToRun": "false",
        "Priority": "7",
    }
    create(machine, task_xml(settings="".join(f"<{k}>{v}</{k}>" for k, v in dropped.items())))
    found = shown(machine)
    for each in dropped:
        assert f"<{each}>" not in found
    assert "<DisallowStartIfOnBatteries>true<" in found
    assert "<StopIfGoingOnBatteries>true<" in found
    assert "<MultipleInstancesPolicy>IgnoreNew<" in found


@must("tasks 4")
@pytest.mark.parametrize(("limit", "kept"), [("P3D", False), ("PT72H", False), ("PT0S", True), ("PT90M", True)])
def test_three_days_are_dropped_other_limits_kept(machine: Machine, limit: str, kept: bool) -> None:
    create(machine, task_xml(settings=f"<ExecutionTimeLimit>{limit}</ExecutionTimeLimit>"))
    assert (f"<ExecutionTimeLimit>{limit}<" in shown(machine)) is kept


@must("tasks 5")
def test_names_become_sids(machine: Machine) -> None:
    inner = ACTION
    create(machine, task_xml(inner, user=r"NT AUTHORITY\SYSTEM"), name="a") if machine.language == "en" else None
    create(machine, task_xml(inner, user="SYSTEM"), name="b")
    found = shown(machine, "b")
    assert "<UserId>S-1-5-18</UserId>" in found
    assert "LogonType" not in found
    triggers = f"<LogonTrigger><UserId>{USER.upper()}</UserId></LogonTrigger>"
    principals = (
        f"<Principals><Principal><UserId>APEX\\{USER}</UserId><LogonType>S4U</LogonType>"
        "<RunLevel>LeastPrivilege</RunLevel></Principal></Principals>"
    )
    create(machine, task_xml(principals + inner, triggers=triggers, user=""), name="c")
    found = shown(machine, "c")
    assert f"<UserId>{USER_SID}</UserId>" in found
    assert "LeastPrivilege" not in found
    assert f"<UserId>APEX\\{USER}</UserId>" in found


@must("tasks 6")
def test_uri_is_the_path_and_the_rest_of_the_information_stays(machine: Machine) -> None:
    info = (
        "<Date>2026-01-01T00:00:00</Date><Author>Anna</Author><Version>abc</Version>"
        "<Description>  why &amp; how  </Description><URI>\\other</URI>"
    )
    create(machine, task_xml(info=info, version="1.4"))
    found = shown(machine)
    assert r"<URI>\ours\job</URI>" in found
    for each in ("<Date>2026-01-01T00:00:00<", "<Author>Anna<", "<Version>abc<", ">why &amp; how<", 'version="1.4"'):
        assert each in found


@must("tasks 7")
def test_the_unified_engine_depends_on_the_version(machine: Machine) -> None:
    create(machine, task_xml(version="1.3"), name="new")
    create(machine, task_xml(version="1.2"), name="old")
    assert "<UseUnifiedSchedulingEngine>true<" in shown(machine, "new")
    assert "UseUnifiedSchedulingEngine" not in shown(machine, "old")
    said = create(machine, task_xml(settings="<UseUnifiedSchedulingEngine>true</UseUnifiedSchedulingEngine>"), "/F")
    assert said.code == 1
    assert UNEXPECTED[machine.language] in said.err
    assert ":UseUnifiedSchedulingEngine:" in said.err


@must("tasks 8")
def test_any_order_but_no_unknown_element(machine: Machine) -> None:
    settings = (
        "<Priority>4</Priority><Hidden>true</Hidden><DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>"
    )
    assert create(machine, task_xml(settings=settings)).code == 0
    said = create(machine, task_xml(settings="<RandomDelay>PT1M</RandomDelay>"), "/F")
    assert said.code == 1
    assert UNEXPECTED[machine.language] in said.err
    assert re.search(r"\(\d+,\d+\):RandomDelay:", said.err)


@must("tasks 9")
@pytest.mark.parametrize(
    ("settings", "triggers", "node", "value"),
    [
        ("<ExecutionTimeLimit>72:00</ExecutionTimeLimit>", "", "ExecutionTimeLimit", "72:00"),
        ("<ExecutionTimeLimit>P99999999DT23H59M59S</ExecutionTimeLimit>", "", "ExecutionTimeLimit", "P99999999"),
        ("<RestartOnFailure><Interval>PT10S</Interval><Count>3</Count></RestartOnFailure>", "", "Interval", "PT10S"),
        (
            "",
            f"<TimeTrigger>{START}<EndBoundary>2025-01-01T00:00:00</EndBoundary></TimeTrigger>",
            "EndBoundary",
            "2025-01-01T00:00:00",
        ),
        (
            "",
            "<TimeTrigger><StartBoundary>2026-02-31T03:00:00</StartBoundary></TimeTrigger>",
            "StartBoundary",
            "2026-02-31T03:00:00",
        ),
        (
            "",
            f"<TimeTrigger>{START}<EndBoundary>2030-01-01 00:00</EndBoundary></TimeTrigger>",
            "EndBoundary",
            "2030-01-01 00:00",
        ),
    ],
)
def test_bad_values_are_refused(machine: Machine, settings: str, triggers: str, node: str, value: str) -> None:
    said = create(machine, task_xml(settings=settings, triggers=triggers))
    assert said.code == 1
    assert BAD[machine.language] in said.err
    assert f":{node}:{value}" in said.err


@must("tasks 9")
def test_a_long_path_is_refused(machine: Machine) -> None:
    long = ACTION.replace("job.exe", "x" * 260)
    said = create(machine, task_xml(long))
    assert said.code == 1
    assert ":Command:" in said.err


@must("tasks 10")
@pytest.mark.parametrize(
    ("settings", "triggers", "node"),
    [
        ("<RestartOnFailure><Interval>PT1M</Interval></RestartOnFailure>", "", "Count"),
        ("<RestartOnFailure><Count>3</Count></RestartOnFailure>", "", "Interval"),
        ("", CALENDAR.format(""), "StartBoundary"),
        ("<DeleteExpiredTaskAfter>PT0S</DeleteExpiredTaskAfter>", "", "EndBoundary"),
    ],
)
def test_missing_elements_are_refused(machine: Machine, settings: str, triggers: str, node: str) -> None:
    said = create(machine, task_xml(settings=settings, triggers=triggers))
    assert said.code == 1
    assert MISSING[machine.language] in said.err
    assert f":{node}:" in said.err


@must("tasks 11")
def test_an_unknown_account_is_refused(machine: Machine) -> None:
    said = create(machine, task_xml(user="nobody"))
    assert said.code == 1
    assert re.search(r"\(\d+,\d+\):UserId:", said.err)
    assert {"en": "No mapping between", "de": "Zuordnungen von Kontennamen"}[machine.language] in said.err


@must("tasks 12")
@pytest.mark.parametrize(
    ("user", "triggers", "level"),
    [
        ("SYSTEM", "", ""),
        ("Anna", "<BootTrigger />", ""),
        ("Anna", "<LogonTrigger />", ""),
        ("Anna", "", "<RunLevel>HighestAvailable</RunLevel>"),
    ],
)
def test_what_only_the_elevated_may(machine: Machine, user: str, triggers: str, level: str) -> None:
    machine.elevated = False
    principals = f"<Principals><Principal><UserId>{user}</UserId>{level}</Principal></Principals>"
    said = create(machine, task_xml(principals + ACTION, triggers=triggers, user=""))
    assert said.code == 1
    assert {"en": "ERROR: Access is denied.", "de": "Zugriff verweigert"}[machine.language] in said.err


@must("tasks 13")
def test_existing_and_missing_names(machine: Machine) -> None:
    create(machine, task_xml(info="<Version>first</Version>"))
    said = create(machine, task_xml(info="<Version>second</Version>"))
    assert said.code == 1
    assert ("WARNING:" if machine.language == "en" else "WARNUNG:") in said.out
    assert "first" in shown(machine)
    query = tool(machine, "schtasks", "/Query", "/TN", "none")
    change = tool(machine, "schtasks", "/Change", "/TN", "none", "/DISABLE")
    assert (query.code, change.code) == (1, 1)
    assert query.err != change.err
    assert "none" in change.err


@must("tasks 14")
def test_replacing_keeps_the_instance_and_enables(machine: Machine) -> None:
    forever(machine)
    trigger = "<RegistrationTrigger />"
    create(machine, task_xml())
    tool(machine, "schtasks", "/Change", "/TN", r"\ours\job", "/DISABLE")
    assert "<Enabled>false</Enabled>" in shown(machine)
    tool(machine, "schtasks", "/Change", "/TN", r"\ours\job", "/ENABLE")
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    assert len(machine.processes.find("job.exe")) == 1
    tool(machine, "schtasks", "/Change", "/TN", r"\ours\job", "/DISABLE")
    create(machine, task_xml(settings="<Enabled>true</Enabled>"), "/F")
    assert "<Enabled>false" not in shown(machine)
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    assert len(machine.processes.find("job.exe")) == 1
    tool(machine, "schtasks", "/End", "/TN", r"\ours\job")
    create(machine, task_xml(triggers=trigger), "/F")
    create(machine, task_xml(triggers=trigger), "/F")
    task = machine.scheduler.find(r"\ours\job")
    assert task is not None
    assert task.fired == ["RegistrationTrigger"]


@must("tasks 15")
def test_folders_come_and_stay(machine: Machine) -> None:
    create(machine, task_xml(), name=r"\a\b\c")
    assert {"\\a", "\\a\\b"} <= machine.scheduler.folders
    tool(machine, "schtasks", "/Delete", "/TN", r"\a\b\c", "/F")
    assert {"\\a", "\\a\\b"} <= machine.scheduler.folders


def _with_child(process: Process) -> int:
    process.start(r"C:\work\child.exe")
    return process.live()


@must("tasks 16")
def test_end_leaves_children_alive(machine: Machine) -> None:
    machine.processes.install(r"C:\work\job.exe", _with_child)
    forever(machine, r"C:\work\child.exe")
    create(machine, task_xml())
    assert tool(machine, "schtasks", "/End", "/TN", r"\ours\job").code == 0
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    until(lambda: machine.processes.find("child.exe"))
    said = tool(machine, "schtasks", "/End", "/TN", r"\ours\job")
    assert said.code == 0
    assert ("SUCCESS" if machine.language == "en" else "ERFOLGREICH") in said.out
    assert not machine.processes.find("job.exe")
    assert machine.processes.find("child.exe")
    assert row(machine)[6] == "267014"


@must("tasks 17")
def test_run_that_starts_nothing(machine: Machine) -> None:
    forever(machine)
    create(machine, task_xml())
    for _ in range(2):
        assert tool(machine, "schtasks", "/Run", "/TN", r"\ours\job").code == 0
    assert len(machine.processes.find("job.exe")) == 1
    machine.battery = True
    create(machine, task_xml(), name="second")
    assert tool(machine, "schtasks", "/Run", "/TN", "second").code == 0
    assert len(machine.processes.find("job.exe")) == 1
    tool(machine, "schtasks", "/Change", "/TN", "second", "/DISABLE")
    assert tool(machine, "schtasks", "/Run", "/TN", "second").code == 1


@must("tasks 18")
def test_delete_and_create_loses_the_instance(machine: Machine) -> None:
    forever(machine)
    create(machine, task_xml())
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    tool(machine, "schtasks", "/Delete", "/TN", r"\ours\job", "/F")
    create(machine, task_xml())
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    assert len(machine.processes.find("job.exe")) == 2


@must("tasks 19")
def test_last_result(machine: Machine) -> None:
    forever(machine)
    create(machine, task_xml())
    assert row(machine)[6] == "267011"
    assert ("11/30/1999" if machine.language == "en" else "30.11.1999") in row(machine)[5]
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    assert row(machine)[6] == "267009"
    machine.processes.end(machine.processes.find("job.exe")[0], 0x800710E0)
    assert row(machine)[6] == "-2147020576"
    task = machine.scheduler.find(r"\ours\job")
    assert task is not None
    assert machine.scheduler.result_of(task) == 2147946720


@must("tasks 20")
def test_exit_codes_and_streams(machine: Machine) -> None:
    missing = tool(machine, "schtasks", "/Query", "/TN", "none")
    assert (missing.code, missing.out) == (1, "")
    assert missing.err.endswith("\r\r\n")
    assert tool(machine, "schtasks", "/Query", "/TN", "none", "/HRESULT").code == 0x80070002
    good = create(machine, task_xml())
    assert (good.code, good.err) == (0, "")
    assert good.out.endswith("\r\n")


@must("tasks 21")
@pytest.mark.parametrize("encoding", ["utf-8", "cp850", "cp936", "utf-16"])
def test_output_encodings(machine: Machine, encoding: str) -> None:
    machine.tools.schtasks_encoding = encoding
    create(machine, task_xml(info="<Description>größer</Description>" if encoding != "cp936" else ""))
    process = machine.processes.start(["schtasks", "/Query", "/TN", r"\ours\job", "/XML", "ONE"], machine.process())
    process.ended.wait(5)
    assert process.out.startswith(b"\xff\xfe") is (encoding == "utf-16")
    assert 'encoding="UTF-16"' in process.out.decode(encoding)
    if encoding != "cp936":
        assert "größer" in process.out.decode(encoding)


@must("tasks 22")
def test_the_language(machine: Machine) -> None:
    create(machine, task_xml())
    said = tool(machine, "schtasks", "/Query", "/TN", r"\ours\job", "/FO", "CSV", "/V")
    german = machine.language == "de"
    assert ("Aufgabenname" in said.out) is german
    assert ("Bereit" in said.out) is german
    assert "267011" in said.out
    refused = create(machine, task_xml(settings="<Nonsense />"), "/F")
    assert ("FEHLER" in refused.err) is german
    assert ":Nonsense:" in refused.err


@must("tasks 23")
def test_change_asks_for_a_password_of_named_users(machine: Machine) -> None:
    s4u = "<Principals><Principal><UserId>Anna</UserId><LogonType>S4U</LogonType></Principal></Principals>"
    create(machine, task_xml(s4u + ACTION, user=""), name="annas")
    assert tool(machine, "schtasks", "/Change", "/TN", "annas", "/DISABLE").code == 1
    create(machine, task_xml(), name="systems")
    assert tool(machine, "schtasks", "/Change", "/TN", "systems", "/DISABLE").code == 0


@must("tasks 24")
def test_files_limits_battery_and_exit_codes(machine: Machine) -> None:
    forever(machine)
    limited = task_xml(settings="<ExecutionTimeLimit>PT1H</ExecutionTimeLimit>")
    create(machine, limited)
    machine.drive.write(r"C:\Windows\System32\Tasks\ours\job", "edited by hand")
    machine.drive.write(r"C:\Windows\System32\Tasks\dropped", "by hand")
    assert "PT1H" in shown(machine)
    assert tool(machine, "schtasks", "/Query", "/TN", "dropped").code == 1
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    machine.scheduler.pass_time(3000)
    assert machine.processes.find("job.exe")
    machine.scheduler.pass_time(3000)
    assert not machine.processes.find("job.exe")
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    machine.scheduler.on_battery()
    assert not machine.processes.find("job.exe")
    machine.battery = False
    runs: list[int] = []

    def failing(process: Process) -> int:
        runs.append(process.pid)
        return 3

    machine.processes.install(r"C:\work\job.exe", failing)
    restart = "<RestartOnFailure><Interval>PT1M</Interval><Count>3</Count></RestartOnFailure>"
    create(machine, task_xml(settings=restart), "/F")
    tool(machine, "schtasks", "/Run", "/TN", r"\ours\job")
    until(lambda: row(machine)[6] == "3")
    machine.scheduler.pass_time(3600)
    assert len(runs) == 1


@must("tasks 25")
def test_boot_triggers_and_fast_startup(machine: Machine) -> None:
    forever(machine)
    create(machine, task_xml(triggers="<BootTrigger />"))
    machine.reboot(fast_startup=True)
    assert not machine.processes.find("job.exe")
    machine.reboot()
    assert machine.processes.find("job.exe")
