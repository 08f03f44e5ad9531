"""uv on the stand-in machine, and the whole Python that its environments are made of: the real ones behind the names.

An environment lies on the disk as uv makes it below; what Windows would have, `Scripts\\python.exe`, stands beside.
"""

from __future__ import annotations

from pathlib import Path

from . import real
from .processes import Process, Program, wrapped

RUNTIME = "runtime/uv"  # where the zip that the lab serves has the real program
BASE = "/usr/bin/python3"
# Python finds its environment by the name that it was started with, which need not exist.
AS_NAMED = "import os, sys; os.execv(sys.argv[1], sys.argv[2:])"


def kinds() -> dict[str, Program]:
    return {"uv": uv, "wholepython": python}


def uv(process: Process) -> int:
    """`uv venv ... --python EXE DIRECTORY` and `uv pip sync ... --python EXE LOCK`."""
    machine, words = process.machine, process.arguments
    program = machine.drive.real(process.image).parent / RUNTIME
    program.chmod(0o755)
    passed = {name.upper(): value for name, value in process.environment.items() if name.upper().startswith("UV_")}
    environment = {name: real.below(machine, value) for name, value in passed.items()}
    given = words.index("--python") + 1
    if not machine.drive.real(words[given]).is_file():
        process.say(f"error: No interpreter found at path `{words[given]}`\n", error=True)
        return 2
    arguments = [real.below(machine, each) for each in words]
    if words[0] == "venv":
        arguments[given] = BASE
        code = real.run(process, [program, *arguments], environment)
        machine.drive.make(words[-1] + r"\Scripts")
        machine.drive.write(words[-1] + r"\Scripts\python.exe", wrapped("wholepython"))
        (machine.drive.real(words[-1]) / "lib64").unlink(missing_ok=True)  # a link, which uv makes elsewhere only
        return code
    inside = machine.drive.real(words[given]).parent.parent
    arguments[given] = str(inside / "bin" / "python")
    code = real.run(process, [program, *arguments], environment)
    for each in (inside / "bin").glob("python*"):
        each.unlink()  # links out of the disk, which Windows has not
    return code


def python(process: Process) -> int:
    """`python.exe`, of an environment or alone, with the paths in its words and environment translated."""
    machine = process.machine
    there = machine.drive.real(process.image).parent.parent
    named = there / "bin" / "python" if (there / "pyvenv.cfg").is_file() else Path(BASE)
    arguments = [real.below(machine, each) for each in process.arguments]
    passed = {name: real.below(machine, each) for name, each in process.environment.items() if _counts(name)}
    home = process.environment.get("USERPROFILE", "")
    if home:
        passed["HOME"] = str(machine.drive.real(home))
    # -B: whoever runs here may not write beside our programs, which below it could
    return real.run(process, [BASE, "-c", AS_NAMED, BASE, str(named), "-B", *arguments], passed)


def _counts(name: str) -> bool:
    """Windows' own variables mean nothing below."""
    return name.upper() not in {"PATH", "PATHEXT", "COMSPEC", "TEMP", "TMP", "WINDIR", "SYSTEMROOT", "OS"}
