"""Short ways for the stand-ins' own tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from .machine import Machine
from .processes import Process

HEAD = '<Task version="{}" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">'
ACTION = r"<Actions><Exec><Command>C:\work\job.exe</Command><Arguments>one</Arguments></Exec></Actions>"
PRINCIPAL = "<Principals><Principal><UserId>{}</UserId></Principal></Principals>"


class Said(NamedTuple):
    code: int
    out: str
    err: str


def tool(machine: Machine, name: str, *arguments: str, encoding: str = "", **more: object) -> Said:
    """Run one of the machine's programs as an SSH session would."""
    own = machine.process()
    process = machine.processes.start([name, *arguments], parent=own, **more)  # type: ignore[arg-type]
    assert process.ended.wait(10)
    encoding = encoding or machine.oem
    return Said(process.code or 0, process.out.decode(encoding), process.err.decode(encoding))


def task_xml(
    inner: str = ACTION,
    *,
    version: str = "1.2",
    settings: str = "",
    triggers: str = "",
    user: str = "SYSTEM",
    info: str = "",
) -> str:
    return (
        HEAD.format(version)
        + (f"<RegistrationInfo>{info}</RegistrationInfo>" if info else "")
        + (f"<Triggers>{triggers}</Triggers>" if triggers else "")
        + (PRINCIPAL.format(user) if user else "")
        + (f"<Settings>{settings}</Settings>" if settings else "")
        + inner
        + "</Task>"
    )


def create(machine: Machine, xml: str | bytes, *more: str, name: str = r"\ours\job") -> Said:
    """`schtasks /Create /XML` with the text as UTF-16LE with its mark, or with these very bytes."""
    raw = xml if isinstance(xml, bytes) else b"\xff\xfe" + xml.encode("utf-16-le")
    machine.drive.write(r"C:\work\task.xml", raw)
    return tool(machine, "schtasks", "/Create", "/TN", name, "/XML", r"C:\work\task.xml", *more)


def shown(machine: Machine, name: str = r"\ours\job") -> str:
    return tool(machine, "schtasks", "/Query", "/TN", name, "/XML", "ONE").out


def row(machine: Machine, name: str = r"\ours\job") -> list[str]:
    said = tool(machine, "schtasks", "/Query", "/TN", name, "/FO", "CSV", "/V", "/NH")
    return [each.strip('"') for each in said.out.strip().split('","')]


def forever(machine: Machine, path: str = r"C:\work\job.exe") -> None:
    machine.processes.install(path, Process.live)


def until(true: Callable[[], object], within_s: float = 5) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come so"
        time.sleep(0.005)
