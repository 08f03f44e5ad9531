"""Installers and tasks by the role system, on the stand-in Windows machine: fetched, run, looked for afterwards."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.unit.agent.shop import Shop
from tests.windows.benches import until
from tests.windows.standin.processes import Process, wrapped
from tests.windows.standin.registry import SZ

from .elsewhere import HOME, Elsewhere

LISTED = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\Program_is1"
SETUP = wrapped("setup of these tests")


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop(goods={"setup.exe": SETUP})
    yield made
    made.stop()


class Setup:
    """The program's installer: the exit codes of its runs, and which version Windows lists after a good one."""

    def __init__(self, there: Elsewhere, *codes: int, version: str = "1.2") -> None:
        self.there, self.codes, self.version = there, list(codes), version
        self.runs: list[list[str]] = []
        there.machine.processes.kinds["setup of these tests"] = self

    def __call__(self, process: Process) -> int:
        self.runs.append(list(process.arguments))
        code = self.codes.pop(0)
        if code in (0, 3010):
            self.there.machine.registry.set(LISTED, "DisplayName", SZ, "Program")
            self.there.machine.registry.set(LISTED, "DisplayVersion", SZ, self.version)
        return code


def has_installer(there: Elsewhere, shop: Shop, version: str = "1.2", reboot: str = "Reboot()") -> None:
    sha256 = hashlib.sha256(SETUP).hexdigest()
    fields = f'"Program", {shop.url("setup.exe")!r}, {sha256!r}, ["/S"], version={version!r}'
    there.has(f"installers = [Installer({fields})]", f"reboot = {reboot}")


def test_an_installer_that_wants_a_restart(there: Elsewhere, shop: Shop) -> None:
    setup = Setup(there, 3010)
    has_installer(there, shop)
    assert there.project.plan().said("planned") == [("installer", "Program")]
    run = there.project.converge()
    assert run.said("changed") == [("installer", "Program")], run.output
    assert setup.runs == [["/S"]]
    pending = "a restart is pending for Program: restart it when it suits you, or allow it with `reboot` in group_data"
    assert pending in [each.get("sentence") for each in run.report]
    has_installer(there, shop, reboot="Reboot(allowed=True, within_s=60)")
    assert there.project.plan().said("planned") == [("reboot", "pending")]
    assert there.project.converge().said("changed") == [("reboot", "pending")]
    there.verbs.clear()
    assert there.project.converge().said("changed") == []
    assert there.verbs == ["look"]
    assert setup.runs == [["/S"]]


def test_an_older_version_is_installed_over_and_a_younger_one_left(there: Elsewhere, shop: Shop) -> None:
    setup = Setup(there, 0, 0)
    has_installer(there, shop)
    there.project.converge()
    setup.version = "1.10"
    has_installer(there, shop, version="1.9")
    planned = there.project.plan()
    assert [each["why"] for each in planned.report] == ["version is 1.2, wanted is 1.9"]
    assert there.project.converge().said("changed") == [("installer", "Program")]
    assert there.project.converge().said("changed") == []
    there.has()
    there.project.converge()
    assert there.machine.registry.get(LISTED, "DisplayVersion") == (SZ, "1.10")  # ours no more, there as before


def test_an_installer_that_fails_is_one_sentence(there: Elsewhere, shop: Shop) -> None:
    Setup(there, 5)
    has_installer(there, shop)
    run = there.project.converge()
    assert run.code != 0
    assert run.refusals == [
        "@local: could not install Program: its installer ended with 5. "
        "Fix: look that number up in the installer's own words, then converge again."
    ]


def test_other_bytes_are_never_run(there: Elsewhere, shop: Shop) -> None:
    setup = Setup(there, 0)
    has_installer(there, shop)
    shop.goods["setup.exe"] = SETUP + b"!"
    run = there.project.converge()
    assert len(run.refusals) == 1
    assert "nothing was installed" in run.refusals[0]
    assert setup.runs == []


def test_a_task_runs_when_what_it_reads_has_changed(there: Elsewhere) -> None:
    """As the starter of the containers does: the file first, then the task that reads it."""
    seen: list[bytes] = []

    def reader(process: Process) -> int:
        seen.append(there.machine.drive.read(r"C:\work\read.txt"))
        return 0

    there.machine.processes.install(r"C:\work\reader.exe", reader)

    def wants(text: str) -> None:
        there.has()
        there.project.wants(
            "from deploys.operations import task",
            "from deploys.schema import ScheduledTask, Trigger",
            rf'files.config(name="Write", dest="C:\\work\\read.txt", text="{text}", access="administrators")',
            r'reader = ScheduledTask("reader", ["C:\\work\\reader.exe"], [Trigger("boot")])',
            r'task.scheduled(name="Read", task=reader, restarts_with=["C:\\work\\read.txt"], run_now=True)',
        )

    wants("one")
    run = there.project.converge()
    assert [kind for kind, _ in run.said("changed")] == ["file", "task"], run.output
    until(lambda: seen == [b"one"])
    assert there.project.converge().said("changed") == []
    wants("two")
    planned = there.project.plan()
    assert [each["why"] for each in planned.report] == ["content differs", r"has not read C:\work\read.txt yet"]
    assert there.project.converge().said("changed") == planned.said("planned")
    until(lambda: seen == [b"one", b"two"])
    assert there.machine.drive.exists(HOME + r"\tasks\reader")
    there.has()
    there.project.converge()
    assert not there.machine.drive.exists(HOME + r"\tasks\reader")
