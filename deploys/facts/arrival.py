"""The way in to a Windows machine where nothing of ours is: a private home, a Python of its own, the agent.

Only what Windows has: icacls, curl, certutil, tar, and SFTP. Each step may be cut, the next run goes on there; whether
one is done is seen by SFTP or by a whole answer, never by an exit code or a text in somebody's language. Lines hold no
quote and no sign that cmd.exe, PowerShell or bash would touch; backslashes are doubled for bash, which Windows ignores.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets as randomness
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager

from pyinfra.api import Host

from deploys.facts import channel
from deploys.facts.channel import Unreachable, last_line, whole
from deploys.facts.fetched import fetched
from deploys.facts.zipapp import file_name, packed
from deploys.lib.paths import parent
from deploys.lib.sddl import others_who_change
from deploys.schema import Agent, Release

SYSTEM32 = r"C:\Windows\System32"
ADMINISTRATORS, SYSTEM = "*S-1-5-32-544:F", "*S-1-5-18:F"
# sshd's own list, part by part: what icacls does when it both removes and grants in one line is not told anywhere
KEEP = "/inheritance:r /grant:r *S-1-5-32-544:(OI)(CI)F *S-1-5-18:(OI)(CI)F"
LET_READ = "/grant:r *S-1-5-11:(OI)(CI)RX"
PRIVATE = re.compile(r"D:P[A-Z]*(\(A;[A-Z]*;FA;;;(BA|SY)\))+")
PLAIN_URL = re.compile(r"[\w:/.~+-]+", re.ASCII)
PROCESSOR = r"HKLM\HARDWARE\DESCRIPTION\System\CentralProcessor\0"
OTHERS = {"ARM": "ARM64", "x86 ": "32-bit x86"}  # what Windows calls the processor: what people do
DOWNLOAD_S, STEP_S, IN_USE_S = 900, 300, 20.0
NEW = ".agent-new-"


def shielded(line: str) -> str:
    """The same for every shell: bash takes one backslash of two away, for Windows two are one."""
    return line.replace("\\", "\\\\")


def bring(host: Host, agent: Agent) -> None:
    """Have Python and the agent there. Raises Unreachable."""
    try:
        with _told(host, f"the agent could not be brought into {agent.home}", PermissionError):
            _Arrival(host, agent).bring()
    except PermissionError as error:
        raise Unreachable(
            f"its SSH user may not change {agent.home}: let an administrator's account log in "
            "(ssh_user in inventory.py), and see that nobody has a file there open"
        ) from error


@contextmanager
def _told(host: Host, what: str, also: type[OSError]) -> Iterator[None]:
    """Trouble on the road in one sentence that begins with `what`; `also` is passed on as it is."""
    try:
        yield
    except also:
        raise
    except OSError as error:
        if channel.is_gone(host, error):
            raise channel.broke(error) from error
        fix = "free some disk space there, then converge again"
        raise Unreachable(f"{what} ({channel.why(error)}): {fix}") from error
    except channel.BROKEN as error:
        raise channel.broke(error) from error


class _Arrival:
    def __init__(self, host: Host, agent: Agent) -> None:
        self.host, self.agent = host, agent
        self.files = channel.Files(host)
        self.said = ""  # the last words of the last command, as a reason

    def bring(self) -> None:
        self._home()
        if self.agent.runtime:
            self._python(self.agent.runtime)
        self._agent()

    def _path(self, name: str) -> str:
        return f"{self.agent.home}\\{name}"

    def _run(self, program: str, *words: str, timeout_s: int = STEP_S) -> str:
        """A program of Windows' own, by its full path. Gives what it said on stdout."""
        line = shielded(" ".join([f"{SYSTEM32}\\{program}.exe", *words]))
        _, out, said = channel.run(self.host, line, "", timeout_s)
        self.said = last_line(said or out) or f"{program}.exe gave no reason"
        return out

    # -- the home: private before anything is in it
    def _home(self) -> None:
        home = self.agent.home
        made = self.files.make(home)
        if not made and any(each.startswith("agent-") for each in self.files.listed(home)):
            return  # an earlier agent is there: ours sets the access right in one step, see `_agent`
        self._run("icacls", home, "/inheritance:r", "/grant:r", ADMINISTRATORS, SYSTEM)
        if not PRIVATE.fullmatch(self._access(home)):
            fix = "let an administrator's account log in (ssh_user in inventory.py)"
            raise Unreachable(f"{home} could not be closed to other users ({self.said}): {fix}")
        try:
            self._refuse_a_loose(parent(home))
        except Unreachable:
            if made:  # who may change what is above may have got a hold of it before it was closed
                self.files.try_to_discard(home)
            raise

    def _refuse_a_loose(self, folder: str) -> None:
        """Whoever may change the folder above may put another home in the place of ours."""
        access = self._access(folder)
        if not access:
            raise Unreachable(f"it cannot be told who may change {folder} ({self.said}): see `icacls {folder}` there")
        if others := others_who_change(access):
            steps = (KEEP, f"/remove:g {' '.join(f'*{each}' for each in others)}", LET_READ)
            fix = " && ".join(f"icacls {folder} {step}" for step in steps)
            raise Unreachable(
                f"{folder} may be changed by others than administrators ({', '.join(others)}), who could put programs "
                f"there that we would start: in a Command Prompt there, as administrator, run `{fix}`"
            )

    def _access(self, path: str) -> str:
        """Its access list in SDDL; "" when icacls could not tell. It tells only a file: one in the home."""
        kept = self._path(f".access-{randomness.token_hex(4)}")
        self._run("icacls", path, "/save", kept)
        access = self.files.get(kept).decode("utf-16-le", "replace") if self.files.exists(kept) else ""
        self.files.try_to_discard(kept)
        return access.strip("\ufeff\0\r\n ").rpartition("\n")[2].strip()

    # -- a Python of its own
    def _python(self, runtime: Release) -> None:
        program = self.agent.python.split(" ")[0]
        if self.files.exists(program):
            return
        self._refuse_other_processors()
        archive = self._path(f"{runtime.sha256}.zip")
        if not self._is_proven(archive, runtime):
            self._fetch(archive, runtime)
        self._unpack(archive, parent(program))
        self.files.try_to_discard(archive)

    def _refuse_other_processors(self) -> None:
        """By the processor's name in the registry, which no language changes."""
        _, out, _ = channel.run(self.host, f"{SYSTEM32}\\reg.exe query {PROCESSOR} /v Identifier", "", STEP_S)
        named = re.search(r"REG_SZ\s+(.*)", out)
        for start, kind in OTHERS.items():
            if named and named[1].startswith(start):
                fix = "give this machine a runtime of its own kind in group_data, or use another machine"
                raise Unreachable(f"its processor is {kind} and the Python in group_data is for x86-64: {fix}")

    def _is_proven(self, archive: str, runtime: Release) -> bool:
        """Whether it is there with the right sha256, by the machine's own reckoning (old ones put blanks in it)."""
        if not self.files.exists(archive):
            return False
        lines = self._run("certutil", "-hashfile", archive, "SHA256").splitlines()
        return runtime.sha256 in [each.replace(" ", "").strip().lower() for each in lines]

    def _fetch(self, archive: str, runtime: Release) -> None:
        """By the machine itself; when it cannot, by the desk."""
        self.files.discard(archive)
        if PLAIN_URL.fullmatch(runtime.url):
            limits = ("--connect-timeout", "20", "--max-time", str(DOWNLOAD_S))
            self._run("curl", "-fsSL", *limits, "-o", archive, runtime.url, timeout_s=DOWNLOAD_S + 60)
            if self._is_proven(archive, runtime):
                return
            self.files.discard(archive)
        self.files.put(fetched(runtime), archive)
        if not self._is_proven(archive, runtime):
            fix = "see whether antivirus keeps it from us, or its disk fails"
            raise Unreachable(f"{archive} has another sha256 than what was put there ({self.said}): {fix}")

    def _unpack(self, archive: str, place: str) -> None:
        """Beside, looked through, and named at last."""
        aside = f"{place}.new"
        self.files.discard(aside)
        self.files.make(aside)
        self._run("tar", "-xf", archive, "-C", aside)
        with self.files.open(archive) as file, zipfile.ZipFile(file) as packed_python:
            wanted = {each.filename: each.file_size for each in packed_python.infolist() if not each.is_dir()}
        missing = [name for name, size in wanted.items() if self._size(aside, name) != size]
        if missing:
            fix = "free some disk space there, or see what antivirus says, then converge again"
            raise Unreachable(f"Python could not be unpacked there: {missing[0]} is not whole ({self.said}): {fix}")
        self.files.discard(place)
        self._patiently_move(aside, place)

    def _size(self, folder: str, name: str) -> int | None:
        try:
            return self.files.sftp.stat(self.files.name(f"{folder}/{name}")).st_size
        except FileNotFoundError:
            return None

    def _patiently_move(self, source: str, target: str) -> None:
        """Antivirus reads what is new, and nothing that is read can be renamed."""
        end = time.monotonic() + IN_USE_S
        while True:
            try:
                self.files.move(source, target)
                return
            except OSError:
                if time.monotonic() > end:
                    raise
            time.sleep(0.2)

    # -- the agent
    def _agent(self) -> None:
        """Sent under another name, asked to make its home's access right, and named when it has answered."""
        for name in self.files.listed(self.agent.home):
            if name.startswith(NEW):
                self.files.try_to_discard(self._path(name))
        new, target = f"{NEW}{randomness.token_hex(4)}.pyz", self._path(file_name())
        self.files.put(packed(), self._path(new))
        _, out, said = channel.run(self.host, shielded(f"{self.agent.python} {self._path(new)} settle"), "{}", STEP_S)
        answer = whole(last_line(out))
        if answer is None or "error" in answer:
            reason = answer["error"]["why"] if answer else last_line(said) or last_line(out) or "it said nothing"
            self.files.try_to_discard(self._path(new))
            program = self.agent.python.split(" ")[0]
            fix = "converge again; if it stays, remove that folder there, and see what antivirus says of it"
            raise Unreachable(f"the agent does not run under {program} ({reason}): {fix}")
        self._name(self._path(new), target)
        for name in self.files.listed(self.agent.home):
            if name.startswith("agent-") and name.endswith(".pyz") and name != file_name():
                self.files.try_to_discard(self._path(name))  # a job of an older one goes on with it

    def _name(self, new: str, target: str) -> None:
        if self.files.exists(target) and _sha256(self.files.get(target)) == _sha256(packed()):
            self.files.try_to_discard(new)
        else:
            self._patiently_move(new, target)


def stage(host: Host, agent: Agent, request: str) -> str:
    """Bring a large request into the agent's home by SFTP. Gives the line that names it.

    Raises FileNotFoundError when there is no home yet.
    """
    content = request.encode()
    name = _sha256(content)
    staged, new = f"{agent.home}\\staged", f"{agent.home}\\staged\\.{randomness.token_hex(8)}"
    with _told(host, f"a change could not be brought into {staged}", FileNotFoundError):
        files = channel.Files(host)
        files.make(staged)
        files.put(content, new)
        files.move(new, f"{staged}\\{name}")
    return json.dumps({"staged": name})


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
