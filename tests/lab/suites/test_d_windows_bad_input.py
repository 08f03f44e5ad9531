"""What a Windows Apex refuses, or cannot use: one sentence, the other machine goes on, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import Desk, Machine
from .windowsfaults import (
    CONFIG,
    DATA,
    LAB_DATA,
    PROCESSOR,
    RELEASE,
    bare,
    finishes,
    half_written,
    one_sentence,
    only_on_windows,
    python,
    whole,
)

__all__ = ["only_on_windows", "whole"]

UNINSTALL = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\{Windows Subsystem for Linux}"
HOME = r'GatewayPlace(home=r"C:\litellm"'


class Refusal(NamedTuple):
    """What is done to the machine and to the data, and the words of the sentence, none of them in its language."""

    do: Callable[[Machine], object] | None
    edit: tuple[str, str, str] | None
    words: tuple[str, ...]


def _task(trigger: str, account: str = "system") -> tuple[str, str, str]:
    """Data with one task more."""
    task = f'ScheduledTask("refused", ["C:\\\\x.exe"], account="{account}", triggers=[Trigger({trigger})])'
    variables = "variables = [\n"
    return DATA, variables, f"from deploys.schema import ScheduledTask, Trigger\ntasks = [{task}]\n{variables}"


def _without_wsl(apex: Machine, code: int) -> None:
    apex.control("unset", key=UNINSTALL, name="DisplayName")
    apex.control("installers", code=code)


def _of_another_kind(apex: Machine) -> None:
    bare(apex, python_too=True)
    apex.control("set", key=PROCESSOR, name="Identifier", data="ARMv8 (64-bit) Family 8 Model D4B Revision 0")


def _cut_off(apex: Machine) -> None:
    bare(apex, python_too=True)
    apex.control("internet", there=False)


REFUSALS = {
    "no administrator": Refusal(
        lambda apex: apex.control("elevated", yes=False),
        (DATA, "variables = [\n", 'variables = [\n    Variable("LAB_FAULT", "1"),\n'),
        ("cannot be reached", "refuses this desk's key"),
    ),
    "another processor": Refusal(_of_another_kind, None, ("its processor is ARM64", "for x86-64")),
    "no python and no way to it": Refusal(
        _cut_off,
        (LAB_DATA, '**_served["runtime"]', '**_served["runtime"] | {"url": "http://127.0.0.1:1/python.zip"}'),
        ("http://127.0.0.1:1/python.zip could not be downloaded by the desk either", "way to the internet"),
    ),
    "no right to a file": Refusal(
        lambda apex: apex.control("acl", path=CONFIG, sddl="O:SYD:P(A;;FA;;;SY)"), None, (CONFIG, "denied")
    ),
    "access for nobody": Refusal(None, (LAB_DATA, 'user=_served["user"]', 'user="Nobody9"'), ("Nobody9",)),
    "half a path": Refusal(
        None, (DATA, HOME, 'GatewayPlace(home="litellm"'), ("gateway_place.home = 'litellm'", "no full path")
    ),
    "a path with other slashes": Refusal(
        None, (DATA, HOME, 'GatewayPlace(home="C:/litellm"'), ("gateway_place.home = 'C:/litellm'", "no full path")
    ),
    "another system's path": Refusal(
        None, (DATA, HOME, 'GatewayPlace(home="/opt/litellm"'), ("gateway_place.home = '/opt/litellm'", "no full path")
    ),
    "a path over the limit": Refusal(
        None,
        (LAB_DATA, RELEASE, RELEASE.replace(")", ' | {"version": "9" * 260})')),
        ("999", "syntax is incorrect"),
    ),
    "a download of another sha256": Refusal(
        None,
        (LAB_DATA, RELEASE, RELEASE.replace(")", ' | {"version": "9.9.9", "sha256": "0" * 64})')),
        ("its sha256 is", "0" * 64, "nothing was installed"),
    ),
    "an installer of another sha256": Refusal(
        lambda apex: _without_wsl(apex, 0),
        (LAB_DATA, 'sha256=_served["installers"][each.name]', 'sha256="0" * 64'),
        ("wsl", "its sha256 is", "0" * 64, "nothing was installed"),
    ),
    "an installer's exit code": Refusal(
        lambda apex: _without_wsl(apex, 1603), None, ("Windows Subsystem for Linux", "ended with 1603")
    ),
    "a task of nobody": Refusal(None, _task('"boot"', "Nobody9"), ("task refused", "Nobody9")),
    "a task on a day that there is not": Refusal(
        None, _task('"daily", start="2026-02-31T03:00:00"'), ("refused", ":StartBoundary:2026-02-31T03:00:00")
    ),
    "a task more often than Windows can": Refusal(
        None, _task('"every", start="2026-01-01T00:00:00", every_s=30'), ("refused", ":Interval:PT30S")
    ),
    "a task on a day without a name": Refusal(
        None, _task('"weekly", start="2026-01-01T00:00:00", days=["Caturday"]'), ("refused", ":Caturday:")
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_what_windows_refuses(what: str, copy: Desk, apex: Machine, tmp_path: Path, whole: None) -> None:
    refusal = REFUSALS[what]
    before = {each: apex.sh_at("cat {}", each) for each in ("config", "keys")}
    if refusal.do:
        refusal.do(apex)
    if refusal.edit:
        copy.edit(*refusal.edit)
    ran = copy.run("converge", XDG_CACHE_HOME=str(tmp_path / "cache"))
    one_sentence(ran, *refusal.words)
    assert ran.unchanged("g16")
    assert {each: apex.sh_at("cat {}", each) for each in before} == before
    assert not half_written(apex)


def test_another_python_is_not_unpacked(copy: Desk, apex: Machine, tmp_path: Path) -> None:
    """Neither the machine nor the desk takes bytes of another sha256."""
    bare(apex, python_too=True)
    copy.edit(
        LAB_DATA,
        'runtime=Release(**_served["runtime"])',
        'runtime=Release(**_served["runtime"] | {"sha256": "0" * 64})',
    )
    ran = copy.run("converge", XDG_CACHE_HOME=str(tmp_path))
    one_sentence(ran, "python-3.12.10-embed-amd64.zip", "group_data" if "has the sha256" in ran.out else "desk")
    assert ran.unchanged("g16")
    assert f"{python(apex)}\\python.exe" not in apex.control("files", below=apex.path("agent"), content=False)


def test_python_that_is_gone_comes_back(copy: Desk, apex: Machine) -> None:
    """As antivirus takes it: the agent is there, what runs it is not. No word of it is needed."""
    apex.control("delete", path=rf"{python(apex)}\python.exe")
    ran = copy.run("converge")
    assert ran.code == 0
    assert ran.unchanged("apex")
    assert not half_written(apex)
    finishes(copy)
