"""Another project on the same machine, from its first boot on: what it owns must stay as it is, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .registry import SZ

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
RULE = "v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|LPort=8090|Name=TP3 web|"


def furnish(machine: Machine) -> None:
    """Files with an access of their own, a task, a rule, variables, a service of its own."""
    machine.drive.make(HOME, "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1301bf;;;BU)")
    machine.drive.write(rf"{HOME}\job.exe", b"MZ somebody else's")
    machine.drive.write(rf"{HOME}\data\settings.ini", "[web]\r\nport=8090\r\n")
    machine.registry.set(r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment", "TP3_HOME", SZ, HOME)
    machine.registry.set(r"HKLM\SOFTWARE\TP3", "Version", SZ, "3.1")
    machine.firewall.put("{3A1C2D10-7777-4A55-9A21-0F4B6D0A0C03}", RULE)
    machine.scheduler.create(TASK, b"\xff\xfe" + XML.encode("utf-16-le"))
    machine.services.install("TP3", rf"{HOME}\job.exe", 3)
