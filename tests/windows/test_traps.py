"""What Python does badly on Windows is not used in what runs there (research: Python 3.12 and OpenSSH, section 1)."""

from __future__ import annotations

import ast
from pathlib import Path

AGENT = Path(__file__).parents[2] / "deploys" / "agent"
TRAPS = {
    "tempfile": "tries names for hours in a folder that refuses",
    "platform": "asks WMI, which is refused to a network logon and crashes",
}
# Shut to everybody else is what they want: who else may come in is said right after.
CLOSED_AT_BIRTH = {("bootservices.py", "mkdir(mode)"), ("files.py", "mkdir(mode)"), ("nests.py", "mkdir(mode)")}


def traps(path: Path) -> set[tuple[str, str]]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(path.name, each.name) for each in node.names if each.name in TRAPS}
        if isinstance(node, ast.ImportFrom) and node.module in TRAPS:
            found.add((path.name, node.module))
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "mkdir"
        if called and isinstance(node, ast.Call) and (len(node.args) > 1 or node.keywords):
            found.add((path.name, "mkdir(mode)"))  # 0o700 shuts everybody else out, others mean nothing
    return found


def test_no_trap_is_used() -> None:
    found = {trap for path in AGENT.rglob("*.py") if path.parent.name != "posix" for trap in traps(path)}
    assert found == CLOSED_AT_BIRTH


def test_nothing_for_windows_names_an_account_in_english() -> None:
    """Groups have other names elsewhere: SIDs only."""
    paths = list((AGENT / "windows").glob("*.py"))
    assert paths
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert node.value not in ("Administrators", "Users", "Everyone", "BUILTIN", "NT AUTHORITY\\SYSTEM")
