"""What would change, and why. Exit 0 nothing, 2 changes, 1 when some machine could not be looked at."""

from __future__ import annotations

from scripts.desk import machines, pyinfra, say
from scripts.desk.desk import Desk, Wish
from scripts.desk.pyinfra import Event, Interrupted
from scripts.desk.said import Said

NOTHING, FAILED, CHANGES = 0, 1, 2


def run(desk: Desk, wish: Wish) -> int:
    said = Said()
    # --json: with it pyinfra asks nobody whether to go on without a machine that is off.
    arguments = ["--json", "--dry", *machines.arguments(desk, wish)]
    with pyinfra.report_file() as report:
        try:
            code = pyinfra.run(desk, arguments, lambda line: _hear(said, line, wish.verbose), report)
        except Interrupted as interrupted:
            return interrupted.code
        events = report.news()
    said.end()
    return tell(said, events, code)


def _hear(said: Said, line: str, verbose: bool) -> None:
    said.hear(line)
    if verbose:
        print(line, end="", flush=True)


def tell(said: Said, events: list[Event], code: int) -> int:
    """Print it all, machine by machine, and give the exit code."""
    names = dict.fromkeys([*said.machines, *(event["machine"] for event in events)])
    counts = []
    refused = bool(said.unreachable or said.errors)
    for name in names:
        planned, looked = 0, True
        for event in (each for each in events if each["machine"] == name):
            if event["event"] == "planned":
                planned += 1
                say.line(name, "~", f"{event['kind']} {event['id']}: {event['why']}")
                say.indented(event["difference"])
            elif event["event"] == "note":
                say.line(name, "·", event["sentence"])
            elif event["event"] == "refused":
                refused, looked = True, False
                say.line(name, "!", event["sentence"].removeprefix(f"{name}: "))
        if name in said.unreachable:
            looked = False
            say.line(name, "!", said.unreachable[name].removeprefix(f"{name}: "))
        changes = say.count(planned, "change") if planned else "nothing to change" if looked else ""
        counts.append(f"{name}: " + ", ".join(filter(None, [changes, "" if looked else "could not look"])))
    for sentence in said.errors:
        say.complain(sentence)
    if code and not refused:
        refused = True
        say.complain(f"pyinfra ended with exit code {code} and no word why: run the same with -v")
    if counts:
        print("; ".join(counts))
    if refused:
        return FAILED
    return CHANGES if any(event["event"] == "planned" for event in events) else NOTHING
