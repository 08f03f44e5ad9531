"""Things of Windows' own system: verify is content exactly where converge has nothing left to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.verify.parse import Said
from tests.verify.windows_things import ENVIRONMENT, KINDS, Told

from .test_windows_parse import POWERCFG

PROGRAMS = r"HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
KEY = ENVIRONMENT["machine"].replace("HKLM", "HKEY_LOCAL_MACHINE")
WITHOUT_SETTING = "\n".join(POWERCFG.splitlines()[:2])
UNTOLD = Said(1, "", 'Invalid Parameters -- try "/?" for help')


def wrong(kind: str, thing: dict[str, Any], **said: str | Said) -> dict[str, object]:
    """{name: what was found} of whatever is not as wanted. `said` by the commands' names, with _ for -."""
    how = KINDS[kind]
    commands = {name: said.get(name.replace("-", "_"), Said(1, "", "")) for name in how.asked(thing)}
    answers = {name: each if isinstance(each, Said) else Said(0, each, "") for name, each in commands.items()}
    found = how.found(thing, Told(answers))
    return {name: found[name] for name, wanted in how.wanted(thing).items() if found[name] != wanted}


@pytest.mark.parametrize(
    ("shown", "there"),
    [
        ("7-Zip", True),
        ("7-zip 24.08 (x64)", True),
        ("7-Zip (x64 edition)", True),
        ("7-Zip version 24", True),
        ("7-Zip v24", True),
        ("7-Zip Toolbar 24.08", False),
        ("7-Zip24", False),
        ("My 7-Zip", False),
        ("", False),
    ],
)
def test_a_program_is_listed_under_its_name_with_or_without_a_version(shown: str, there: bool) -> None:
    text = f"\n{PROGRAMS}\\x\n    DisplayName    REG_SZ    {shown}\n\nEnd of search: 1 match(es) found.\n"
    found = wrong("installers", {"name": "7-Zip", "version": None}, installed_32_DisplayName=text)
    assert found == ({} if there else {"installed": False})


def test_a_program_is_asked_for_where_the_whole_machine_has_it() -> None:
    """What one user has alone is not there for the machine."""
    commands = KINDS["installers"].asked({"name": "7-Zip"}).values()
    assert not [each for each in commands if "HKCU" in each]


@pytest.mark.parametrize(
    ("shown", "hidden", "wanted_s", "red"),
    [
        (POWERCFG, POWERCFG, 1800, {}),
        (POWERCFG, POWERCFG, 0, {"seconds when plugged in": 1800}),
        (WITHOUT_SETTING, POWERCFG, 1800, {}),  # hidden by the machine's maker
        (WITHOUT_SETTING, POWERCFG, 0, {"seconds when plugged in": 1800}),
        (WITHOUT_SETTING, WITHOUT_SETTING, 0, {}),  # what it does not have, it never does
        (Said(0, "", ""), Said(0, "", ""), 0, {}),
        (WITHOUT_SETTING, WITHOUT_SETTING, 600, {"seconds when plugged in": None}),
        (UNTOLD, UNTOLD, 0, {"seconds when plugged in": None}),  # nobody knows
        (WITHOUT_SETTING, UNTOLD, 0, {"seconds when plugged in": None}),
    ],
)
def test_power(shown: str | Said, hidden: str | Said, wanted_s: int, red: dict[str, object]) -> None:
    thing = {"name": "sleep", "plugged_s": wanted_s, "battery_s": None}
    assert wrong("power", thing, power_sleep=shown, hidden_sleep=hidden) == red


def path(kind: str, data: str) -> str:
    return f"\n{KEY}\n    Path    {kind}    {data}\n\n"


@pytest.mark.parametrize(
    "entry",
    [
        r"%ProgramFiles%\Ollama\0.40.2",
        r"%programfiles%\ollama\0.40.2" + "\\",
        '"C:/Program Files/Ollama/0.40.2"',
        r" C:\Program Files\Ollama\0.40.2",
        r"C:\Program Files\Ollama\0.40.2;C:\Program Files\Ollama\0.40.2",  # twice: converge leaves it
    ],
)
def test_an_entry_of_a_path_in_any_of_its_forms(entry: str) -> None:
    thing = {"directory": r"C:\Program Files\Ollama\0.40.2", "scope": "machine"}
    variables = "Path=C:\\Windows\nProgramFiles=C:\\Program Files\nprompt=$P$G\n"
    text = path("REG_EXPAND_SZ", rf"%SystemRoot%\system32;{entry};;")
    assert wrong("path_entries", thing, environment_machine=text, variables=variables) == {}
    named = {**thing, "directory": r"%ProgramFiles%\Ollama\0.40.2"}
    assert wrong("path_entries", named, environment_machine=text, variables=variables) == {}


@pytest.mark.parametrize("entry", [r"C:\Program Files\Ollama", r"%Nobody%\Ollama\0.40.2", ""])
def test_an_entry_that_is_not_there(entry: str) -> None:
    thing = {"directory": r"C:\Program Files\Ollama\0.40.2", "scope": "machine"}
    found = wrong("path_entries", thing, environment_machine=path("REG_EXPAND_SZ", entry), variables="A=b\n")
    assert found == {"there": False}
