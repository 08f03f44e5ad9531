"""The whole way on this machine: data, the roles' frame, operations, the look, the agent; by pyinfra's own command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.agent.support import closed_port

from .project import Project

FILE = 'files.config(name="File {0}", dest=PLACE + "/{0}", text="{1}", access=ACCESS)'
DIRECTORY = 'files.directory(name="Directory {0}", path=PLACE + "/{0}", access=ACCESS)'


def file(name: str, text: str = "text") -> str:
    return FILE.format(name, text)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_plan_names_exactly_what_converge_then_changes(project: Project) -> None:
    project.wants(DIRECTORY.format("d"), file("d/a", "1"), file("b"), file("stays"), file("gone"))
    first = project.plan()
    assert first.code == 0, first.output
    assert not project.place.exists()  # a plan changes nothing
    made = project.converge()
    assert made.code == 0, made.output
    assert first.said("planned") == made.said("changed")
    assert len(made.said("changed")) == 5
    assert (project.place / "d" / "a").read_text() == "1"

    project.wants(DIRECTORY.format("d"), file("d/a", "2"), file("stays"), file("gone"), file("new"))
    (project.place / "d").chmod(0o777)
    (project.place / "gone").unlink()
    planned = project.plan()
    assert (project.place / "d" / "a").read_text() == "1"
    changed = project.converge()
    place = str(project.place)
    assert planned.said("planned") == changed.said("changed")
    assert changed.said("changed") == [
        ("directory", f"{place}/d"),
        ("file", f"{place}/d/a"),
        ("file", f"{place}/gone"),
        ("file", f"{place}/new"),
        ("file", f"{place}/b"),
    ]
    reasons = {each["id"].removeprefix(f"{place}/"): each["why"] for each in planned.report}
    assert reasons["d"].startswith("access is ")
    assert reasons["d/a"] == "content differs"
    assert reasons["new"] == "missing"
    assert reasons["b"] == "no longer in the data"
    assert [each["difference"] for each in planned.report if each["id"].endswith("d/a")] == ["@@ -1 +1 @@\n-1\n+2"]


def test_converge_again_is_one_look_and_no_change_however_much_there_is(project: Project) -> None:
    project.wants(*(file(f"f{number}") for number in range(8)))
    project.converge()
    assert project.starts == ["look", "send", "look", "look", *["do"] * 8]
    again = project.converge()
    assert again.said("changed") == []
    assert "Success" not in again.output.partition("--> Results:")[0]
    assert project.starts == ["look"]


def test_removal_leaves_strangers_alone(project: Project) -> None:
    project.wants(DIRECTORY.format("d"), file("d/ours"), DIRECTORY.format("e"), file("e/ours"))
    project.converge()
    (project.place / "d" / "theirs").write_text("precious")
    project.wants("pass")
    gone = project.converge()
    place = str(project.place)
    kinds = [
        ("file", f"{place}/e/ours"),
        ("directory", f"{place}/e"),
        ("file", f"{place}/d/ours"),
        ("directory", f"{place}/d"),
    ]
    assert gone.said("changed") == kinds  # users of a thing go before the thing
    assert [each.name for each in project.place.rglob("*")] == ["d", "theirs"]


def test_what_is_right_already_is_noted_once_as_ours(project: Project) -> None:
    """So that it is looked at with the rest from then on, and leaves with the data."""
    (project.place / "d").mkdir(parents=True, mode=0o755)
    (project.place / "d").chmod(0o755)
    project.wants(DIRECTORY.format("d"))
    noted = ("directory", f"{project.place}/d")
    assert project.plan().said("planned") == [noted]
    assert project.converge().said("changed") == [noted]
    assert project.starts[-1] == "do"
    assert (project.converge().said("changed"), project.starts) == ([], ["look"])
    project.wants("pass")
    assert project.converge().said("changed") == [noted]
    assert not (project.place / "d").exists()


def test_refusal_on_the_machine_is_one_sentence_and_ends_the_run_there(project: Project) -> None:
    (project.place / "b").mkdir(parents=True)
    project.wants(file("a"), file("b"), file("c"))
    run = project.converge()
    assert run.code != 0
    assert run.refusals == [
        f"@local: could not write {project.place}/b: a directory is there. "
        "Fix: move that directory away and converge again."
    ]
    assert "Traceback" not in run.output
    assert (project.place / "a").exists()
    assert not (project.place / "c").exists()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('secrets.required(Secret("NO_SUCH_KEY"), "a test")', "secret NO_SUCH_KEY is missing (a test)"),
        ('files.rendered("no/such.j2")', "templates/no/such.j2 does not exist"),
        ("1 / 0", "ZeroDivisionError: division by zero (a bug in this repository: please report it)"),
    ],
)
def test_nonsense_in_a_role_changes_nothing_at_all(line: str, sentence: str, project: Project) -> None:
    project.wants(file("a"), line)
    run = project.converge()
    assert len(run.refusals) == 1
    assert run.refusals[0].startswith("@local: ")
    assert sentence in run.refusals[0]
    assert "Traceback" not in run.output
    assert not project.place.exists()


def test_machine_that_cannot_be_reached_leaves_the_others_alone(tmp_path: Path) -> None:
    port = closed_port()
    data = f'{{"ssh_port": {port}, "ssh_strict_host_key_checking": "off"}}'
    project = Project(tmp_path, others=f'far = [("127.0.0.1", {data})]')
    project.wants(file("a"))
    run = project.converge()
    assert "[127.0.0.1]" in run.output
    assert "Traceback" not in run.output
    assert (project.place / "a").exists()


def test_python_that_is_not_there_is_one_sentence(project: Project) -> None:
    data = project.folder / "group_data" / "all.py"
    data.write_text(data.read_text().replace("python-that-counts", "no-such-python"))
    project.wants(file("a"))
    run = project.converge()
    assert len(run.refusals) == 1
    assert "see that Python 3.9 or newer is installed there" in run.refusals[0]
    assert "Traceback" not in run.output


def test_agent_that_was_damaged_is_sent_again(project: Project) -> None:
    project.wants(file("a"))
    project.converge()
    pyz = next(project.home.glob("agent-*.pyz"))
    (project.home / "agent-000000000000.pyz").write_text("an older one")
    pyz.write_bytes(b"")  # which Python runs without a word, and ends with code 0
    assert project.converge().said("changed") == []
    assert [each.name for each in project.home.glob("agent-*")] == [pyz.name]
    assert pyz.stat().st_mode & 0o077 == 0


SECRET = "sk-planted-6f1d0c9e5b"
OLD_SECRET = "sk-older-77aa88bb99"


CRASH = """
from pyinfra.api import operation

@operation()
def crash():
    raise RuntimeError("a crash in an operation")
    yield

crash(name="Crash")
"""


class TestSecret:
    """A planted secret reaches the file it is for, and nothing else: no output, no log, no command line."""

    @pytest.fixture
    def project(self, tmp_path: Path) -> Project:
        project = Project(tmp_path)
        self.plant(project, SECRET)
        project.wants(
            'text = "A=1\\nKEY=" + secrets.required(Secret("PLANTED"), "a test") + "\\n"',
            'files.config(name="Env", dest=PLACE + "/env", text=text, access=ACCESS, secret=True)',
        )
        return project

    @staticmethod
    def plant(project: Project, value: str) -> None:
        project.secrets_file.write_text(f"PLANTED={value}\n")
        project.secrets_file.chmod(0o600)

    @pytest.mark.parametrize("options", [("--dry", "-vvv"), ("-y", "-vvv", "--debug")])
    def test_is_in_no_output(self, options: tuple[str, ...], project: Project) -> None:
        project.place.mkdir()
        (project.place / "env").write_text(f"A=1\nKEY={OLD_SECRET}\n")
        run = project.run(*options, watch=True, report=False)
        assert run.code == 0, run.output
        assert "env" in run.output.lower()
        for value in (SECRET, OLD_SECRET, "PLANTED="):
            assert value not in run.output
            assert value not in run.command_lines
        assert "agent-" in run.command_lines  # the watcher was awake
        if "-y" in options:
            assert (project.place / "env").read_text() == f"A=1\nKEY={SECRET}\n"
        held = [each for each in project.folder.rglob("*") if each.is_file() and SECRET.encode() in each.read_bytes()]
        assert sorted(each.name for each in held) == (["env", "secrets.env"] if "-y" in options else ["secrets.env"])

    def test_is_in_no_report_and_its_change_is_told_by_name(self, project: Project) -> None:
        project.converge()
        self.plant(project, "sk-rotated-0011223344")
        planned = project.plan()
        assert [each["difference"] for each in planned.report] == ["@@ -1,2 +1,2 @@\n A=••••\n-KEY=••••\n+KEY=••••"]
        assert "sk-" not in str(planned.report) + planned.output

    def test_is_in_no_debug_log_of_a_crash(self, project: Project) -> None:
        deploy = project.folder / "deploy.py"
        deploy.write_text(deploy.read_text() + CRASH)
        run = project.converge("-vvv")
        assert run.code != 0
        assert SECRET not in run.output
        log = project.folder / "pyinfra-debug.log"
        assert log.exists()
        assert SECRET not in log.read_text()

    def test_is_masked_when_a_sentence_would_hold_it(self, project: Project) -> None:
        (project.place / "env").mkdir(parents=True)
        project.wants(
            'value = secrets.required(Secret("PLANTED"), "a test")',
            'raise ValueError(f"cannot use {value}")',
        )
        run = project.run("-y", "-vvv", "--debug", report=False)
        assert "cannot use ••••" in run.output
        assert SECRET not in run.output

    def test_file_that_others_can_read_is_refused(self, project: Project) -> None:
        project.secrets_file.chmod(0o644)
        run = project.converge()
        assert "chmod 600" in run.output
        assert SECRET not in run.output
        assert not project.place.exists()


def test_lines_end_as_they_are_asked_to(project: Project) -> None:
    line = 'files.config(name="File {0}", dest=PLACE + "/{0}", text="a\\r\\nb\\n", access=ACCESS, newline={1!r})'
    project.wants(line.format("windows", "crlf"), line.format("unix", "lf"), line.format("mixed", None))
    project.converge()
    found = {each.name: each.read_bytes() for each in project.place.iterdir()}
    assert found == {"windows": b"a\r\nb\r\n", "unix": b"a\nb\n", "mixed": b"a\r\nb\n"}
    assert project.converge().said("changed") == []
