"""The whole machine: drive, registry, accounts, processes, tasks, services, firewall, and how it is set up."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import firewall, scheduler, services, smalltools, tools
from .drive import PROFILE, PROGRAM_DATA, PROGRAM_FILES, Drive, error
from .engine import Engine
from .processes import Process, Processes
from .registry import DWORD, EXPAND_SZ, MACHINE_ENVIRONMENT, SZ, USER_ENVIRONMENT, Registry
from .security import ADMINISTRATORS, AUTHENTICATED, EVERYONE, LOCAL_SERVICE, MACHINE, SYSTEM, USERS
from .words import GROUPS_IN_GERMAN, said

HOST, USER = "APEX", "Anna"
USER_SID = f"{MACHINE}-1001"
ACCOUNTS = {
    SYSTEM: ("NT AUTHORITY", "SYSTEM"),
    LOCAL_SERVICE: ("NT AUTHORITY", "LOCAL SERVICE"),
    "S-1-5-20": ("NT AUTHORITY", "NETWORK SERVICE"),
    ADMINISTRATORS: ("BUILTIN", "Administrators"),
    USERS: ("BUILTIN", "Users"),
    AUTHENTICATED: ("NT AUTHORITY", "Authenticated Users"),
    EVERYONE: ("", "Everyone"),
    "S-1-3-0": ("", "CREATOR OWNER"),
    USER_SID: (HOST, USER),
    f"{MACHINE}-500": (HOST, "Administrator"),
    f"{MACHINE}-1002": (HOST, "Bert"),
}
SSH_HOME = r"C:\ProgramData\ssh"
# documented: made by sshd at its first start
SSH_HOME_ACCESS = "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;AU)"
EXPLORER = r"C:\Windows\explorer.exe"
PYTHON = rf"{SSH_HOME}\llm-harness\python-3.12.10\python.exe"


class Machine:
    """One Windows machine. Everything a test wants to see or to break is an attribute."""

    def __init__(self, folder: Path, seed: int = 1, language: str = "en") -> None:
        self.dice = random.Random(seed)
        self.language = language
        self.oem = "cp850" if language == "de" else "cp437"
        self.elevated = True
        self.restore_privilege = False
        self.battery = False
        self.logged_on = False  # somebody sits at the machine, or auto-logon acted
        self.transfers: deque[list[str]] = deque(maxlen=20_000)  # SFTP operations: name, path
        self.person = False  # somebody who logs on as soon as there is something that starts with that
        self.internet = True  # whether curl gets anywhere
        self.cut_after: int | None = None  # so many bytes into an upload the connection breaks, once
        self.installer_code = 0  # what msiexec ends with instead of installing
        self.engine = Engine()
        self.programs_below: dict[str, str] = {}  # real programs that stand behind names here
        self.real_pids: dict[int, int] = {}  # of real processes: the number that they have here
        self.profile_line = ""  # what the profile of PowerShell prints
        self.at_logon: list[Callable[[], None]] = []
        self.running = threading.local()  # .process: the one whose thread this is
        self.broadcasts = 0
        self.boots = 1
        self.reboot_asked = False
        self.accounts = dict(ACCOUNTS)
        self.user = USER
        self.drive = Drive(folder, self.dice)
        self.registry = Registry()
        self.scheduler = scheduler.Scheduler(self)
        self.processes = Processes(self)
        self.services = services.Services(self)
        self.firewall = firewall.Firewall(self)
        self.tools = tools.Settings()
        self._furnish()
        tools.install(self)
        smalltools.install(self)
        self.processes.booted()
        self.services.boot()
        self.block = self.environment_now()  # what services.exe and sshd took at boot

    # -- who
    @property
    def user_sids(self) -> frozenset[str]:
        """The token of the SSH session: elevated, so Administrators counts."""
        always = {USER_SID, USERS, AUTHENTICATED, EVERYONE}
        return frozenset(always | {ADMINISTRATORS} if self.elevated else always)

    def token(self, sid: str) -> frozenset[str]:
        if sid == SYSTEM:
            return frozenset({SYSTEM, ADMINISTRATORS, AUTHENTICATED, EVERYONE, USERS})
        if sid == USER_SID:
            return self.user_sids
        return frozenset({sid, AUTHENTICATED, EVERYONE, USERS})

    def sid_of(self, name: str) -> str:
        """Names as this machine's language has them; English ones of groups fail elsewhere (recorded)."""
        wanted = name.lower().removeprefix(HOST.lower() + "\\").removeprefix(".\\")
        for sid in self.accounts:
            domain, own = self.account(sid)
            if wanted in (own.lower(), f"{domain}\\{own}".lower()):
                return sid
        if self.language == "de" and wanted in ("system", "nt authority\\system"):  # accepted in every language
            return SYSTEM
        raise error(1332, name)

    def account(self, sid: str) -> tuple[str, str]:
        if self.language == "de" and sid in GROUPS_IN_GERMAN:
            return GROUPS_IN_GERMAN[sid]
        if sid not in self.accounts:
            raise error(1332, sid)
        return self.accounts[sid]

    def shown(self, sid: str) -> str:
        domain, name = self.account(sid)
        return f"{domain}\\{name}" if domain else name

    def say(self, sentence: str, *values: object) -> str:
        return said(self.language, sentence, *values)

    # -- the session
    def environment_now(self) -> dict[str, str]:
        """Machine's, then user's, expanded; the user's path follows the machine's."""
        found: dict[str, str] = {}
        for path in (MACHINE_ENVIRONMENT, USER_ENVIRONMENT):
            key = self.registry.find(path)
            for name, kind, data in key.values.values() if key else ():
                if kind not in (SZ, EXPAND_SZ):
                    continue
                text = str(data).replace("%SystemRoot%", r"C:\Windows").replace("%USERPROFILE%", rf"C:\Users\{USER}")
                if name.upper() == "PATH" and "PATH" in found:
                    text = f"{found['PATH'].rstrip(';')};{text}"
                found[name.upper()] = text
        found["PROGRAMDATA"], found["PROGRAMFILES"] = r"C:\ProgramData", r"C:\Program Files"
        found["SYSTEMROOT"] = r"C:\Windows"
        return found

    def session(self, old_sshd: bool = False) -> dict[str, str]:
        """The block of a new SSH session: what was deleted stays in sshd's own until sshd starts again."""
        block = dict(self.block)
        if not old_sshd:
            block.update(self.environment_now())
        return block

    def restart_sshd(self) -> None:
        self.block = self.environment_now()

    def process(self) -> Process:
        """The process whose thread this is; the SSH session's python when there is none yet."""
        present = getattr(self.running, "process", None)
        if present is None:
            present = self.processes.add(PYTHON, 4, self.user_sids, arguments=[], environment=self.session(), session=0)
            self.running.process = present
        present.check()
        return present

    def close(self) -> None:
        self.processes.close()

    def reboot(self, fast_startup: bool = False) -> None:
        """All processes end; after a full boot the boot triggers fire, after Fast Startup they do not."""
        for each in list(self.processes.all.values()):
            if each is not getattr(self.running, "process", None):
                self.processes.end(each, 1)
        self.boots += 1
        self.reboot_asked = self.logged_on = False
        self.processes.booted()
        self.services.boot()
        self.block = self.environment_now()
        if not fast_startup:
            self.scheduler.booted()

    def logon(self) -> None:
        """The user's desktop begins: logon triggers fire, and what the user starts with it is for `at_logon`."""
        if not self.logged_on:
            self.logged_on = True
            self.processes.add(EXPLORER, 4, self.user_sids, arguments=[], environment=self.session(), session=1)
            self.scheduler.logged_on()
            for each in self.at_logon:
                each()

    # -- as it comes from the factory
    def _furnish(self) -> None:
        registry, drive = self.registry, self.drive
        registry.writer = "windows"
        for folder in (r"C:\Windows\System32\Tasks", r"C:\Users", r"C:\Program Files (x86)"):
            drive.make(folder)
        drive.make(r"C:\ProgramData", PROGRAM_DATA)
        drive.make(SSH_HOME, SSH_HOME_ACCESS)
        drive.make(r"C:\Program Files", PROGRAM_FILES)
        drive.make(r"C:\Windows\System32", PROGRAM_FILES)
        drive.make(rf"C:\Users\{USER}", PROFILE.format(user=USER_SID))
        environment: list[tuple[str, str, int, Any]] = [
            (MACHINE_ENVIRONMENT, "ComSpec", EXPAND_SZ, r"%SystemRoot%\system32\cmd.exe"),
            (MACHINE_ENVIRONMENT, "Path", EXPAND_SZ, r"%SystemRoot%\system32;%SystemRoot%;;C:\Tools;"),
            (MACHINE_ENVIRONMENT, "PROCESSOR_ARCHITECTURE", SZ, "AMD64"),
            (MACHINE_ENVIRONMENT, "TEMP", EXPAND_SZ, r"%SystemRoot%\TEMP"),
            (MACHINE_ENVIRONMENT, "windir", EXPAND_SZ, "%SystemRoot%"),
            (USER_ENVIRONMENT, "Path", EXPAND_SZ, r"%USERPROFILE%\AppData\Local\Microsoft\WindowsApps;"),
            (USER_ENVIRONMENT, "TEMP", EXPAND_SZ, r"%USERPROFILE%\AppData\Local\Temp"),
        ]
        for path, name, kind, data in environment:
            registry.set(path, name, kind, data)
        power = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power"
        registry.set(power, "HiberbootEnabled", DWORD, 1)
        registry.writer = "agent"
