"""Another project on the same machine, from its first boot on: what it owns must stay as it is, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dockerdesktop import add_to_path
from .registry import BINARY, DWORD, EXPAND_SZ, MACHINE_ENVIRONMENT, MULTI_SZ, SZ, USER_ENVIRONMENT

if TYPE_CHECKING:
    from .machine import Machine

HOME = r"C:\TP3"
TASK = r"\TP3\nightly"
XML = (
    '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">'
    "<RegistrationInfo><Author>APEX\\Anna</Author><URI>\\TP3\\nightly</URI></RegistrationInfo>"
    "<Triggers><CalendarTrigger><StartBoundary>2026-01-01T03:00:00</StartBoundary>"
    "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay></CalendarTrigger></Triggers>"
    "<Principals><Principal><UserId>SYSTEM</UserId></Principal></Principals>"
    "<Settings><DisallowStartIfOnBatteries>true</DisallowStartIfOnBatteries></Settings>"
    r"<Actions><Exec><Command>C:\TP3\job.exe</Command></Exec></Actions></Task>"
)
RULES = {
    "{3A1C2D10-7777-4A55-9A21-0F4B6D0A0C03}": (
        "v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|LPort=8090|Name=TP3 web|"
    ),
    "{3A1C2D10-7777-4A55-9A21-0F4B6D0A0C04}": (
        r"v2.33|Action=Block|Active=FALSE|Dir=Out|Protocol=17|RPort=53|App=C:\TP3\job.exe|Name=TP3 no names|"
    ),
}
KEY = r"HKLM\SOFTWARE\TP3"
VALUES = (
    (KEY, "Version", SZ, "3.1"),
    (KEY, "Port", DWORD, 8090),
    (rf"{KEY}\Store", "Folder", EXPAND_SZ, r"%SystemDrive%\TP3\data"),
    (rf"{KEY}\Store", "Names", MULTI_SZ, ["one", "", "two"]),
    (rf"{KEY}\Store", "Seal", BINARY, b"\x00\xff3"),
    (MACHINE_ENVIRONMENT, "TP3_HOME", SZ, HOME),
    (MACHINE_ENVIRONMENT, "TP3_DATA", EXPAND_SZ, r"%TP3_HOME%\data"),
    (USER_ENVIRONMENT, "TP3_MODE", SZ, "production"),
)


def furnish(machine: Machine) -> None:
    """Files with an access of their own, tasks, rules, variables, an entry of the path, a service that runs."""
    machine.drive.make(HOME, "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1301bf;;;BU)")
    machine.drive.write(rf"{HOME}\job.exe", b"MZ somebody else's")
    machine.drive.write(rf"{HOME}\data\settings.ini", "[web]\r\nport=8090\r\n")
    machine.drive.make(rf"{HOME}\private", "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
    machine.drive.write(rf"{HOME}\private\key", "theirs alone\n")
    for key, name, kind, data in VALUES:
        machine.registry.set(key, name, kind, data)
    add_to_path(machine, rf"{HOME}\bin")
    for name, rule in RULES.items():
        machine.firewall.put(name, rule)
    machine.scheduler.create(TASK, b"\xff\xfe" + XML.encode("utf-16-le"))
    asleep = XML.replace("nightly", "asleep").replace("<Settings>", "<Settings><Enabled>false</Enabled>")
    machine.scheduler.create(r"\TP3\asleep", b"\xff\xfe" + asleep.encode("utf-16-le"))
    machine.services.install("TP3", rf"{HOME}\job.exe", 2)
