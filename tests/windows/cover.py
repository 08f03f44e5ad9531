"""How much of the agent's Windows half runs in the tests on Linux: `python -m tests.windows.cover`.

The stand-in runs the agent's modules from their own sources, compiled under their own paths, so coverage sees them as
any other. `win32.py` is the one file that only Windows can run: it is left out, and kept small by a test.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import coverage
import pytest

AGENT = Path(__file__).parents[2] / "deploys" / "agent" / "windows"
ENOUGH_PERCENT = 95.0
LEFT_OUT = "win32.py"
# those that are about the agent; the others are about the stand-ins, or drive it through a whole desk
TESTS = ["pure", "windows", "kinds", "standin_agent", "standin_kinds", "standin_verbs", "standin_adoption"]
TESTS += ["standin_nests", "standin_roots", "standin_timeouts"]


def windows_half() -> list[Path]:
    return sorted(each for each in AGENT.glob("*.py") if each.name != LEFT_OUT)


def main() -> int:
    half = windows_half()
    measured = coverage.Coverage(include=[str(path) for path in half], data_file=None, concurrency=["thread"])
    measured.start()
    tests = [str(Path(__file__).with_name(f"test_{name}.py")) for name in TESTS]
    code = int(pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", *tests, *sys.argv[1:]]))
    measured.stop()
    if code:
        return code
    table = io.StringIO()
    percent = measured.report(morfs=[str(path) for path in half], show_missing=True, file=table)
    sys.stdout.write(table.getvalue())
    sys.stdout.write(f"{percent:.1f} % of the lines that only Windows runs, {ENOUGH_PERCENT:g} % are asked for\n")
    return 0 if percent >= ENOUGH_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
