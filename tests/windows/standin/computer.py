"""The stand-in as a computer of its own: `python3 -m tests.windows.standin.computer FOLDER`, one process for its life.

FOLDER/C is `C:\\`, FOLDER/state what survives. Starting this process is the boot; a restart
that the machine asks for ends it, and whoever started it starts it again. Its environment: LAB_LANGUAGE and LAB_PERSON
(at the first boot), LAB_KEYS (a file with the administrators' public keys), NOTIFY_SOCKET (systemd's).
"""

from __future__ import annotations

import ipaddress
import ntpath
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import asyncssh

from . import dockerdesktop, enforcing, firewall, keep, looking, neighbour, programs, real, sshdprogram, sshkeys
from .control import Control
from .machine import Machine
from .scheduler import split
from .services import RUNNING
from .sockets import LiveSockets
from .sshd import Sshd

WINLOGON = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon"
WITH_WSL = ("Microsoft-Windows-Subsystem-Linux", "VirtualMachinePlatform")
CONTROL, PORT = Path("/run/windows-control"), 22
GOING_DOWN_S = 1.0
TAILNET = ipaddress.ip_network("100.64.0.0/10")
SAVE_EVERY_S, ADDRESSES_EVERY_S = 0.3, 2.0


class Computer:
    """Boots, serves, remembers, goes down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.machine = Machine(folder, seed=time.time_ns() & 0xFFFF, language=os.environ.get("LAB_LANGUAGE", "en"))
        self.keeper = keep.Keeper(self.machine, folder / "state")
        self.down = threading.Event()
        self.with_all_below = False  # the computer below goes down too: it does not want its parts started again
        self.door = Sshd(self.machine)
        self.enforcement = enforcing.Enforcement()
        self.rules: dict[str, str] = {}
        self.one_at_a_time = threading.Lock()
        self.machine.firewall.at_change = self._follow_rules
        self.look_at_s = 0.0

    def boot(self) -> None:
        machine = self.machine
        machine.tools.cards = None
        machine.processes.programs.pop(r"c:\windows\system32\nvidia-smi.exe", None)
        real_smi = machine.drive.real(r"C:\Windows\System32\nvidia-smi.exe")
        real_smi.unlink(missing_ok=True)
        programs.install(machine)
        sshdprogram.install(machine)
        if not self.keeper.load():
            sshkeys.furnish(machine, Path(os.environ["LAB_KEYS"]).read_text(encoding="utf-8"))
            sshdprogram.furnish(machine)
            programs.furnish(machine)
            machine.person = os.environ.get("LAB_PERSON", "1") == "1"
            machine.tools.features = dict.fromkeys(WITH_WSL, "Enabled")
            neighbour.furnish(machine)
        machine.tools.sockets = LiveSockets(machine)
        machine.tools.addresses = looking.real_addresses
        real.ask(["systemctl", "stop", "docker.socket", "docker"], 120)
        keep.boot(machine)
        self.door.host_key = self._host_key()
        Control(machine, self.down.set).serve(CONTROL)
        machine.at_logon.append(self._autostart)
        machine.scheduler.booted()
        found = machine.registry.get(WINLOGON, "AutoAdminLogon")
        if found and str(found[1]) == "1":
            machine.logon()

    def _autostart(self) -> None:
        """What the user's Run key names starts in the user's session."""
        for command in starts_at_logon(self.machine):
            self.machine.processes.start(command, None, self.machine.session(), self.machine.user_sids, session=1)

    def _host_key(self) -> asyncssh.SSHKey:
        """Of the computer below, so that who comes from outside knows it before the first boot."""
        return asyncssh.read_private_key("/etc/ssh/ssh_host_ed25519_key")

    def work(self) -> None:
        """Until it goes down: sshd's door follows its service, and what changed is written."""
        while not self.down.wait(SAVE_EVERY_S):
            if self.machine.reboot_asked:
                time.sleep(GOING_DOWN_S)  # who asked still gets an answer
                break
            self._follow_services()
            self._follow_rules()
            if self.machine.person and not self.machine.logged_on and starts_at_logon(self.machine):
                self.machine.logon()
            self.keeper.save()

    def _follow_services(self) -> None:
        runs = self.machine.services.known["sshd"].state == RUNNING if "sshd" in self.machine.services.known else False
        if runs and not self.door.listens():
            if sshdprogram.faults(self.machine, sshdprogram.CONFIG):
                self.machine.services._enter(self.machine.services.known["sshd"], 1)
                return
            self.machine.restart_sshd()
            self.door.start("0.0.0.0", PORT)
        elif not runs and self.door.listens():
            self.door.shut()

    def _follow_rules(self) -> None:
        """Tailscale's own rule goes with its address; and what the rules refuse is refused."""
        with self.one_at_a_time:
            rules = self.machine.firewall.rules()
            if rules == self.rules and time.monotonic() < self.look_at_s:
                return
            name, form = firewall.TAILSCALE_IN
            for own in (each for each in looking.real_networks() if ipaddress.ip_address(each) in TAILNET):
                if rules.get(name) != (wanted := form.replace(firewall.TAILNET_ADDRESS, own)):
                    self.machine.firewall.put(name, wanted)
            self.rules, self.look_at_s = self.machine.firewall.rules(), time.monotonic() + ADDRESSES_EVERY_S
            self.enforcement.follow(self.rules.values(), next(iter(looking.real_networks("eth").values())))

    def go_down(self) -> None:
        """Everything ends at once; the real parts below too."""
        self.machine.reboot_asked = False
        self.keeper.save()
        self.door.stop()
        for each in list(self.machine.processes.all.values()):
            self.machine.processes.end(each, 1)
        real.ask(["systemctl", "stop", "docker.socket", "docker"], 120)
        if not self.with_all_below:
            real.ask(["systemctl", "--no-block", "restart", "tailscaled"])

    def terminated(self) -> None:
        self.with_all_below = True
        self.down.set()


def starts_at_logon(machine: Machine) -> list[list[str]]:
    """The commands of the user's Run key whose programs are there."""
    key = machine.registry.find(dockerdesktop.RUN)
    lines = [program_of(machine, str(line)) for _, _, line in list(key.values.values())] if key else []
    return [command for command in lines if command]


def program_of(machine: Machine, line: str) -> list[str]:
    """A command line as CreateProcess reads one: without quotes a blank may be part of the program's name or end it.

    The shortest name that is there wins, `.exe` going behind one that has no ending. Empty when none is there.
    """
    if line.startswith('"'):
        command = split(line)
        return command if machine.drive.real(command[0]).is_file() else []
    for blank in (each.start() for each in re.finditer(r" |$", line)):
        name = line[:blank] if ntpath.splitext(line[:blank])[1] else f"{line[:blank]}.exe"
        if machine.drive.real(name).is_file():
            return [name, *split(line[blank:])]
    return []


def ready() -> None:
    """Tell systemd that we are there."""
    place = os.environ.get("NOTIFY_SOCKET")
    if place:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(b"READY=1", "\0" + place[1:] if place.startswith("@") else place)


def main() -> None:
    computer = Computer(Path(sys.argv[1]))
    signal.signal(signal.SIGTERM, lambda *_: computer.terminated())
    computer.boot()
    computer._follow_services()
    computer.keeper.save()
    ready()
    computer.work()
    computer.go_down()
    os._exit(0)


if __name__ == "__main__":
    main()
