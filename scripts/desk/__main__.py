"""python -m scripts.desk <command> [HOST=a,b] [CMD=...] [LAB=1] [-v]"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from dataclasses import replace

from scripts.desk.desk import Desk, Trouble, Wish, desk_of
from scripts.desk.say import complain

COMMANDS = {
    "plan": "what would change and why (exit 0 nothing, 2 changes, 1 could not look)",
    "converge": "make it so (exit 0 done, 1 refused, 130 interrupted)",
    "verify": "ask the machines with their own tools (pytest's exit code)",
    "ssh": "a shell on HOST, or CMD there (the command's exit code)",
    "status": "one screen of all machines (exit 0 all well, 1 not)",
    "rebuild": "wait for HOST's SSH, converge it, verify it, with a stopwatch",
    "record": "what HOST answers, byte by byte: into records/, to hold beside the tests' stand-ins (Windows)",
    "lab": "two machines from nothing to an answer",
    "lab-down": "remove every trace of the lab",
}


def main(arguments: list[str]) -> int:
    """The command's exit code. Whatever can be foreseen is one sentence on stderr."""
    if len(arguments) < 2 or arguments[1] not in COMMANDS:
        print(__doc__)
        for name, what in COMMANDS.items():
            print(f"  {name:<9} {what}")
        return 1
    signal.signal(signal.SIGTERM, _stop)
    command = arguments[1]
    try:
        wish = wish_of(arguments[2:], os.environ)
        if command in ("lab", "lab-down"):  # they are about the lab, whatever LAB says, and there may be none yet
            wish = replace(wish, lab=False)
        module = importlib.import_module(f"scripts.desk.{command.replace('-', '_')}")
        desk: Desk = desk_of(wish)
        code: int = module.run(desk, wish)
        return code
    except Trouble as trouble:
        complain(str(trouble))
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:  # whoever read our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def wish_of(arguments: list[str], environment: os._Environ[str] | dict[str, str]) -> Wish:
    """What was asked for. Arguments win over the DESK_HOST, DESK_CMD and LAB of the environment."""
    given = {
        "HOST": environment.get("DESK_HOST", ""),
        "CMD": environment.get("DESK_CMD", ""),
        "LAB": environment.get("LAB", ""),
    }
    verbose = False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if argument in ("-v", "--verbose"):
            verbose = True
        elif equals and name in given:
            given[name] = value
        else:
            raise Trouble(f"{argument!r} says nothing to me: HOST=, CMD=, LAB=1 and -v do")
    return Wish(
        hosts=tuple(given["HOST"].replace(",", " ").split()),
        command=given["CMD"],
        lab=given["LAB"] not in ("", "0"),
        verbose=verbose,
    )


def _stop(number: int, _frame: object) -> None:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
