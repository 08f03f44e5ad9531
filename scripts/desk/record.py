r"""What a real Windows machine answers, byte by byte, for the comparison with our tests' stand-ins.

Into records/<machine>-<date>/: a file a stream and a README.md with a line a command. Nothing on the machine changes,
but for a folder in C:\ProgramData\ssh that is removed again.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from scripts.desk import machines, recordings, road, say
from scripts.desk.desk import Desk, Trouble, Wish
from scripts.desk.machines import Machine
from scripts.desk.recordings import SCRATCH, SFTP_SCRATCH, Recording

BATCH = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=15")
NO_TERMINAL = ("-T", *BATCH)  # sftp has none, and no such option
# ssh shows 8 of an exit code's 32 bits. The caret hides the variable from the first reading; `call` reads again.
EXIT = " & call echo @exit %^ERRORLEVEL%"
EXIT_LINE = re.compile(rb"@exit (-?\d+) ?\r?\n\Z")
TIMES = 10
QUIET_S = 20
SFTP_S = 60


@dataclass(frozen=True)
class Answer:
    """What came back. `code` is None when cmd.exe did not tell it; `ssh_code` is None after a time-out."""

    out: bytes
    err: bytes
    code: int | None
    ssh_code: int | None
    took_s: float

    @property
    def told(self) -> str:
        if self.ssh_code is None:
            return "no end in time"
        return str(self.code) if self.code is not None else f"{self.ssh_code} (8 bits, from ssh)"


class Book:
    """The folder and its README."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.folder, self.machine = folder, machine
        self.rows: list[str] = []

    def put(self, name: str, command: str, why: str, answer: Answer) -> None:
        stem = f"{len(self.rows) + 1:02d}-{name}"
        for ending, data in (("out", answer.out), ("err", answer.err)):
            if data:
                (self.folder / f"{stem}.{ending}").write_bytes(data)
        shown = command.replace("|", "\\|")
        sizes = f"{len(answer.out)}, {len(answer.err)}"
        self.rows.append(f"| {stem} | `{shown}` | {answer.told} | {sizes} | {answer.took_s:.2f} | {why} |")
        say.line(self.machine["name"], " ", f"{stem}: {answer.told}")

    def close(self, head: list[str]) -> None:
        table = ["| files | command | exit code | bytes out, err | s | why |", "|---|---|---|---|---|---|"]
        text = "\n".join([*head, "", recordings.LEFT_OUT, "", *table, *self.rows, ""])
        (self.folder / "README.md").write_text(text, encoding="utf-8")


def run(desk: Desk, wish: Wish) -> int:
    machine = machines.one(desk, wish, "record")
    folder, count = recorded(machine, desk.root / "records")
    print(f"\n{machine['name']}: {say.count(count, 'recording')} in {folder.relative_to(desk.root)}")
    return 0


def recorded(machine: Machine, records: Path) -> tuple[Path, int]:
    """The folder and how many recordings it has. Raises Trouble when the machine is no Windows or lets nobody in."""
    name = machine["name"]
    if "windows" not in machine["groups"]:
        raise Trouble(f"{name} is no Windows machine in the inventory: `record` is for those")
    first = exec_once(machine, Recording("first", "ver", ""))
    if first.ssh_code in (255, None):
        why = (first.err.decode("utf-8", "replace").strip().splitlines() or ["no word"])[-1]
        raise Trouble(f"{name} does not let this desk in ({why}): run scripts/bootstrap.cmd there, then `ssh {name}`")
    told = head(machine, first)
    book = Book(folder_for(records, name), machine)
    try:
        for each in [*recordings.FIRST, *recordings.PROGRAMS, *recordings.TOOLS, *recordings.ENDS]:
            book.put(each.name, filled(machine, each.command), each.why, exec_once(machine, each))
        several_at_once(book)
        lost_client(book)
        scratch(book)
    finally:  # one that was broken off is of use too
        book.close(told)
    return book.folder, len(book.rows)


def folder_for(records: Path, name: str) -> Path:
    """A new one: a second recording of the day does not mix with the first."""
    stem = f"{name}-{datetime.now():%Y-%m-%d}"
    for number in range(1, 1000):
        folder = records / (stem if number == 1 else f"{stem}-{number}")
        if not folder.exists():
            folder.mkdir(parents=True)
            return folder
    raise Trouble(f"{records} is full of recordings of today: remove some")


def head(machine: Machine, first: Answer) -> list[str]:
    """Whose answers these are. The banner is what sshd says of itself before any key counts."""
    version = re.search(rb"\[[^\]]*?([\d.]+)\]", first.out)
    line = [*road.command(machine, ("-v", *NO_TERMINAL)), "exit"]
    said = ended(line, b"", recordings.TIMEOUT_S).err.decode("utf-8", "replace")
    banner = re.search(r"remote software version (.*)", said)
    return [
        f"# {machine['name']}, {datetime.now().astimezone():%Y-%m-%d %H:%M %z}",
        "",
        f"- Windows: {version[1].decode() if version else 'see 01-windows-version'}",
        f"- sshd: {banner[1].strip() if banner else 'says no version'}",
        "- Bytes are as they came. The code page is the number in 02-code-page.",
    ]


def filled(machine: Machine, command: str) -> str:
    agent = machine["data"].get("agent") or {}
    python = str(agent.get("python", "python.exe")).split(" ")[0]
    values = {"{python}": python, "{home}": str(agent.get("home", "")), "{scratch}": SCRATCH}
    for name, value in values.items():
        command = command.replace(name, value)
    return command


def exec_once(machine: Machine, recording: Recording) -> Answer:
    """One exec over the road of all other commands."""
    line = [*road.command(machine, NO_TERMINAL), filled(machine, recording.command) + EXIT]
    answer = ended(line, bytes(recording.stdin_bytes), recording.timeout_s)
    told = EXIT_LINE.search(answer.out)
    return replace(answer, out=answer.out[: told.start()], code=int(told[1])) if told else answer


def timed(text: str, took_s: float) -> Answer:
    """An answer that this desk has measured itself."""
    return Answer(text.encode(), b"", 0, 0, took_s)


def ended(line: list[str], given: bytes, timeout_s: float) -> Answer:
    """What came of a program on this desk; of one that does not end in time, what it had said."""
    start = time.monotonic()
    try:
        done = subprocess.run(line, input=given, capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as late:
        return Answer(late.stdout or b"", late.stderr or b"", None, None, time.monotonic() - start)
    return Answer(done.stdout, done.stderr, None, done.returncode, time.monotonic() - start)


def several_at_once(book: Book) -> None:
    """Over one connection: eight execs with 20000 bytes each (does each see its end?), then what one exec costs."""
    with tempfile.TemporaryDirectory() as place:
        mux = (*NO_TERMINAL, "-o", f"ControlPath={place}/mux")
        master = road.command(book.machine, (*mux, "-o", "ControlMaster=yes", "-N"))
        quiet = subprocess.DEVNULL
        with subprocess.Popen(master, stdin=quiet, stdout=quiet, stderr=quiet) as held:
            try:
                wait_for(Path(place) / "mux")
                _through(book, road.command(book.machine, mux))
            finally:
                held.terminate()


def _through(book: Book, line: list[str]) -> None:
    command = filled(book.machine, recordings.READ_ALL)
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        said = "\n".join(pool.map(lambda _: _quiet([*line, command], bytes(20000)), range(8)))
    book.put("stdin-eight-at-once", command, "the lost end of stdin", timed(said, time.monotonic() - start))
    for name, what in (("exit", "exit"), ("python", filled(book.machine, "{python} -I -c pass"))):
        spent = []
        for _ in range(TIMES):
            start = time.monotonic()
            _quiet([*line, what], b"")
            spent.append(time.monotonic() - start)
        text = "\n".join(f"{each * 1000:.0f} ms" for each in spent)
        book.put(f"cost-{name}", what, "what an exec costs over an open connection", timed(text, sum(spent)))


def wait_for(path: Path, within_s: float = 15) -> None:
    end = time.monotonic() + within_s
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.05)


def _quiet(line: list[str], given: bytes) -> str:
    answer = ended(line, given, QUIET_S)
    if answer.ssh_code is None:
        return f"no end within {QUIET_S} s"
    return f"{answer.out.decode('utf-8', 'replace').strip()} (exit {answer.ssh_code})"


def lost_client(book: Book) -> None:
    """A client that goes away: what of its command is left."""
    line = [*road.command(book.machine, NO_TERMINAL), "ping -n 30 127.0.0.1"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(line, stdin=quiet, stdout=quiet, stderr=quiet) as client:
        time.sleep(3)
        client.kill()
    left = Recording(
        "lost-client", 'tasklist /FO CSV /NH /FI "IMAGENAME eq ping.exe"', "a lost client's command goes on"
    )
    book.put(left.name, left.command, left.why, exec_once(book.machine, left))


def scratch(book: Book) -> None:
    """SFTP onto a file that somebody holds open, and who may read what it makes."""
    machine = book.machine
    hold = filled(machine, r"{python} -I -c __import__('time').sleep(10*bool(open(r'{scratch}\held')))")
    try:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"recorded")
            file.flush()
            _sftp(
                book,
                "sftp-make",
                [f"mkdir {SFTP_SCRATCH}", f"put {file.name} {SFTP_SCRATCH}/held"],
                "a folder and a file",
            )
            quiet = subprocess.DEVNULL
            holder = subprocess.Popen(
                [*road.command(machine, NO_TERMINAL), hold], stdin=quiet, stdout=quiet, stderr=quiet
            )
            with holder:
                time.sleep(2)
                onto = [f"put {file.name} {SFTP_SCRATCH}/held", f"put {file.name} {SFTP_SCRATCH}/new"]
                moves = [
                    f"rename {SFTP_SCRATCH}/new {SFTP_SCRATCH}/held",
                    f"rm {SFTP_SCRATCH}/held",
                    f"ls -ln {SFTP_SCRATCH}",
                ]
                _sftp(book, "sftp-onto-an-open-file", [*onto, *moves], "codes and modes while another holds it")
                try:
                    holder.wait(60)  # ending the client would leave the program there, with the file
                except subprocess.TimeoutExpired:
                    holder.kill()
        for each in recordings.SCRATCHES:
            book.put(each.name, filled(machine, each.command), each.why, exec_once(machine, each))
    finally:
        exec_once(machine, Recording("", f"rmdir /s /q {SCRATCH}", ""))


def _sftp(book: Book, name: str, commands: list[str], why: str) -> None:
    """By OpenSSH's own sftp; a command that fails does not end it."""
    batch = "".join(f"-{each}\n" for each in commands)
    answer = ended(road.command(book.machine, ("-b", "-", *BATCH), "sftp"), batch.encode(), SFTP_S)
    book.put(name, "; ".join(re.sub(r"put \S+", "put FILE", each) for each in commands), why, answer)
