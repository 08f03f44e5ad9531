"""scripts/bootstrap.cmd, read by cmd's rules, on a bare stand-in machine in two languages."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.lib.sddl import others_who_change

from .standin.firstday import TAILSCALE as TAILSCALE_EXE
from .standin.firstday import FirstDay, bare, rule_of, run_batch
from .standin.machine import SSH_HOME, SSH_HOME_ACCESS, USER_SID, Machine
from .standin.processes import Process
from .standin.registry import DWORD, SZ, Key
from .standin.security import ADMINISTRATORS, AUTHENTICATED, SYSTEM
from .standin.use import Said

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap.cmd"
PLACE = r"C:\setup & more\bootstrap.cmd"  # cmd must never act on a folder's name
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDeskKey+/Desk="
KEYS = r"C:\ProgramData\ssh\administrators_authorized_keys"
MSI = b"a package"
LAN, AT_FIRST = "llm-harness ssh from the local network", "llm-harness ssh until this machine is on the tailnet"
OPENSSH = r"HKLM\SOFTWARE\OpenSSH"
POWER = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power"


def data(name: str) -> str:
    """A line of the script's data."""
    found = re.search(rf'^set "{name}=(.*)"\r?$', SCRIPT.read_text(encoding="ascii"), re.MULTILINE)
    assert found
    return found[1]


@pytest.fixture
def day(machine: Machine) -> FirstDay:
    """The script lies there, made for a package of ours; its own sha256 is that of the real one."""
    made = bare(machine)
    ours = SCRIPT.read_bytes().replace(data("TAILSCALE_SHA256").encode(), hashlib.sha256(MSI).hexdigest().encode())
    machine.drive.write(PLACE, ours)
    made.internet[data("TAILSCALE_URL")] = MSI
    return made


def run(machine: Machine, *arguments: str, typed: bytes = b"") -> Said:
    return run_batch(machine, PLACE, *arguments, typed=typed)


def everything(machine: Machine) -> dict[str, Any]:
    """All that a run may change: files with their access, registry, services, power."""

    def values(key: Key, path: str) -> Iterator[tuple[str, Any]]:
        yield path, dict(key.values)
        for each in key.keys.values():
            yield from values(each, f"{path}\\{each.name}")

    files = {}
    for real in sorted(machine.drive.folder.rglob("*")):
        path = machine.drive.path_of(real)
        access = machine.drive.descriptor(path)  # the order of entries that all allow means nothing
        told = (access.owner, frozenset(access.aces), access.protected)
        files[path] = (real.read_bytes() if real.is_file() else b"", told)
    return {
        "files": files,
        "registry": dict(values(machine.registry.root, "")),
        "services": {name: (each.start, each.state) for name, each in machine.services.known.items()},
        "power": {name: list(each) for name, each in machine.tools.power.items()},
    }


def test_from_bare_to_done(machine: Machine, day: FirstDay) -> None:
    said = run(machine, KEY)
    assert (said.code, said.err) == (0, "\nTo authenticate, visit:\n\n\thttps://login.example/a/1\n\n"), said
    sshd = machine.services.known["sshd"]
    assert (sshd.start, sshd.state) == (2, 4)
    # the desk's key, for administrators and SYSTEM alone
    assert machine.drive.read(KEYS).decode().split() == [*KEY.split(), "desk"]
    access = machine.drive.descriptor(KEYS)
    assert access.protected
    assert {(ace.sid, ace.mask) for ace in access.aces} == {(ADMINISTRATORS, 0x1F01FF), (SYSTEM, 0x1F01FF)}
    # port 22
    assert "|RA4=100.64.0.0/255.192.0.0|RA6=fd7a:115c:a1e0::/48|" in rule_of(machine, "llm-harness ssh")
    assert machine.firewall.named(LAN) == machine.firewall.named(AT_FIRST) == []
    assert "Active=FALSE" in machine.firewall.rules()["OpenSSH-Server-In-TCP"]
    # the rest
    shell = machine.registry.get(OPENSSH, "DefaultShell")
    assert shell == (SZ, r"C:\Windows\System32\cmd.exe")
    (told,) = day.started
    assert {"/qn", "/norestart", "TS_UNATTENDEDMODE=always", "TS_NOLAUNCH=1"} <= set(told)
    assert machine.registry.get(POWER, "HiberbootEnabled") == (DWORD, 0)
    assert {each[0] for each in machine.tools.power.values()} == {0}
    assert not machine.drive.exists(r"C:\ProgramData\ssh\llm-harness-tailscale.msi")


def test_it_ends_with_what_the_desk_needs(machine: Machine, day: FirstDay) -> None:
    lines = run(machine, KEY).out.splitlines()
    entry = next(line for line in lines if "ssh_user" in line)
    assert eval(entry) == ("apex", {"ssh_hostname": "100.64.0.7", "ssh_user": "Anna"})
    host_key = next(line for line in lines if "HostKey" in line)
    assert host_key == "    apex,100.64.0.7 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostKeyOfTheStandIn"
    assert lines[-1] == 'Then, on the desk: docs/windows.md, "The first evening", from step 2.'
    guide = (SCRIPT.parents[1] / "docs" / "windows.md").read_text(encoding="utf-8")
    assert "\n## The first evening" in guide
    assert "\n| 2 | " in guide


def test_the_second_run_changes_nothing(machine: Machine, day: FirstDay) -> None:
    run(machine, KEY)
    before = everything(machine)
    again = run(machine, KEY)
    assert again.code == 0
    assert "did" not in [line.split()[0] for line in again.out.splitlines() if line.strip()]
    assert everything(machine) == before
    assert len(day.started) == 1


class TestKey:
    def test_may_lie_beside_it(self, machine: Machine, day: FirstDay) -> None:
        comment = "a comment & calc.exe"
        machine.drive.write(r"C:\setup & more\desk.pub", f"# my desk\r\n{KEY} {comment}\r\n")
        assert run(machine).code == 0
        assert KEY.encode() in machine.drive.read(KEYS)
        assert b"calc" not in machine.drive.read(KEYS)

    def test_may_be_a_file(self, machine: Machine, day: FirstDay) -> None:
        machine.drive.write(r"D:\x.pub".replace("D:", "C:"), KEY + "\n")
        assert run(machine, r"C:\x.pub").code == 0
        assert KEY.encode() in machine.drive.read(KEYS)

    def test_is_asked_for(self, machine: Machine, day: FirstDay) -> None:
        said = run(machine, typed=f"{KEY}\r\n".encode())
        assert said.out.startswith("The desk's public key")
        assert KEY.encode() in machine.drive.read(KEYS)

    def test_may_come_with_the_quotes_of_copy_as_path(self, machine: Machine, day: FirstDay) -> None:
        machine.drive.write(r"C:\my keys\x.pub", KEY + "\n")
        assert run(machine, typed=b'"C:\\my keys\\x.pub"\r\n').code == 0
        assert KEY.encode() in machine.drive.read(KEYS)

    def test_of_another_desk_stays(self, machine: Machine, day: FirstDay) -> None:
        other = "ssh-rsa AAAAB3Other someone@else"
        run(machine, KEY)
        machine.drive.write(KEYS, other)  # no line end
        run(machine, KEY)
        assert machine.drive.read(KEYS).decode().split("\r\n") == [other, f"{KEY} desk", ""]

    def test_that_others_may_write_is_closed_again(self, machine: Machine, day: FirstDay) -> None:
        run(machine, KEY)
        loose = "O:BAD:(A;;FA;;;BA)(A;;FA;;;BU)"
        machine.drive.set_descriptor(KEYS, loose, machine.user_sids, restore=True)
        run(machine, KEY)
        assert {ace.sid for ace in machine.drive.descriptor(KEYS).aces} == {ADMINISTRATORS, SYSTEM}

    @pytest.mark.parametrize(
        "given",
        [
            "",
            "ssh-ed25519",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "ssh-ed25519 nonsense",
            "ssh-ed25519 AAAA|calc",
            "ssh-ed25519 AAAA;x&calc",
            "ssh-ed25519 ;AAAA&calc",
            "ssh;x&calc AAAAC3",
            "ssh&calc AAAAC3",
            r"C:\nowhere.pub",
        ],
    )
    def test_that_is_none(self, machine: Machine, day: FirstDay, given: str) -> None:
        before = everything(machine)
        said = run(machine, given)
        assert (said.code, len(said.err.splitlines())) == (1, 1)
        assert "desk's .pub file" in said.err
        assert everything(machine) == before


class TestRefusals:
    """One sentence, exit 1; what is done already stays, and the next run goes on."""

    def sentence(self, said: Said) -> str:
        assert said.code == 1
        lines = [line for line in said.err.splitlines() if not line.startswith("curl:")]
        assert len(lines) == 1
        return lines[0]

    def test_not_elevated(self, machine: Machine, day: FirstDay) -> None:
        machine.elevated = False
        before = everything(machine)
        assert "Run as administrator" in self.sentence(run(machine, KEY))
        assert everything(machine) == before

    @pytest.mark.parametrize("code", [-2146498220, 87, 1])
    def test_dism_fails(self, machine: Machine, day: FirstDay, code: int) -> None:
        day.dism_code = code
        said = self.sentence(run(machine, KEY))
        assert said.startswith(f"APEX: installing the OpenSSH server did not work ({code}): ")
        assert machine.firewall.named("llm-harness ssh") == []

    def test_dism_wants_a_restart_and_works_already(self, machine: Machine, day: FirstDay) -> None:
        day.dism_code = 3010
        said = run(machine, KEY)
        assert said.code == 0
        assert "to do  restart Windows once" in said.out

    def test_dism_wants_a_restart_first(self, machine: Machine, day: FirstDay) -> None:
        day.dism_code, day.sshd_after_restart = 3010, True
        assert "restart, then run this again" in self.sentence(run(machine, KEY))

    def test_the_firewall_refuses(self, machine: Machine, day: FirstDay) -> None:
        def refuses(_process: object) -> int:
            return 1

        machine.processes.install(r"C:\Windows\System32\netsh.exe", refuses)
        assert "letting the tailnet in on port 22 did not work (exit code 1)" in self.sentence(run(machine, KEY))
        assert machine.services.known["sshd"].state == 1

    def test_no_internet(self, machine: Machine, day: FirstDay) -> None:
        day.internet.clear()
        assert "downloading https://pkgs.tailscale.com/" in self.sentence(run(machine, KEY))

    def test_other_bytes(self, machine: Machine, day: FirstDay) -> None:
        day.internet[data("TAILSCALE_URL")] = b"something else"
        assert "so it was not installed" in self.sentence(run(machine, KEY))
        assert day.started == []

    def test_another_installation_runs(self, machine: Machine, day: FirstDay) -> None:
        day.msiexec_code = 1618
        assert "installing Tailscale did not work (1618)" in self.sentence(run(machine, KEY))
        day.msiexec_code = 0
        assert run(machine, KEY).code == 0

    def test_sshd_does_not_come_up(self, machine: Machine, day: FirstDay) -> None:
        machine.processes.install(r"C:\Windows\System32\ping.exe", lambda _process: 0)
        assert "(no host key after 60 s)" in self.sentence(run(machine, KEY))

    def test_sshd_ends_again_though_an_earlier_one_left_its_host_key(self, machine: Machine, day: FirstDay) -> None:
        run(machine, KEY)
        sshd = machine.services.known["sshd"]

        def ends(_process: object) -> int:
            sshd.state, sshd.exit_code = 1, 4  # the code looks like the state "running"
            return 0

        sshd.state = 1
        machine.processes.install(r"C:\Windows\System32\ping.exe", ends)
        said = self.sentence(run(machine, KEY))
        assert said.startswith("APEX: starting sshd with the machine did not work (it is not running after 60 s): ")

    @pytest.mark.parametrize("words", [("lan", "no-lan"), ("another key",), ("lann",)])
    def test_words_that_nobody_understands(self, machine: Machine, day: FirstDay, words: tuple[str, ...]) -> None:
        before = everything(machine)
        assert self.sentence(run(machine, KEY, *words)).startswith("Not understood: ")
        assert everything(machine) == before


class TestFolder:
    """%ProgramData%\\ssh, which any user may make before sshd does."""

    def closed(self, machine: Machine) -> bool:
        """As sshd makes it, whatever the order."""
        found = machine.drive.descriptor(SSH_HOME)
        entries = {(ace.sid, ace.flags, ace.mask) for ace in found.aces if ace.allow}
        down = frozenset({"OI", "CI"})
        full = {(sid, down, 0x1F01FF) for sid in (ADMINISTRATORS, SYSTEM)}
        wanted = full | {(AUTHENTICATED, down, 0x1200A9)}
        return found.owner == ADMINISTRATORS and found.protected and entries == wanted and len(found.aces) == 3

    def test_is_made_before_sshd_is_there(self, machine: Machine, day: FirstDay) -> None:
        day.dism_code, day.sshd_after_restart = 3010, True
        run(machine, KEY)
        assert self.closed(machine)

    @pytest.mark.parametrize(
        "made",
        [
            pytest.param("", id="by a user"),
            pytest.param(f"O:{USER_SID}D:PAI(A;OICI;FA;;;{USER_SID})(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;AU)", id="his"),
            pytest.param(SSH_HOME_ACCESS + f"(A;OICI;FA;;;{USER_SID})", id="after Explorer's Continue"),
            pytest.param(SSH_HOME_ACCESS.replace("0x1200a9", "0x1301bf"), id="every user changes it"),
        ],
    )
    def test_that_somebody_made_is_closed(self, machine: Machine, day: FirstDay, made: str) -> None:
        machine.drive.owner_is_user = None if made else USER_SID
        machine.drive.make(SSH_HOME, made)
        machine.drive.owner_is_user = None
        assert run(machine, KEY).code == 0
        assert self.closed(machine)
        before = everything(machine)
        again = run(machine, KEY)
        assert "   did " not in again.out
        assert everything(machine) == before

    def test_that_became_loose_is_closed_and_said(self, machine: Machine, day: FirstDay) -> None:
        """sshd does not start with it: from its logs, too."""
        run(machine, KEY)
        for folder in (SSH_HOME, rf"{SSH_HOME}\logs"):
            loose = f"O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{USER_SID})"
            machine.drive.set_descriptor(folder, loose, machine.user_sids, restore=True)
        machine.drive.set_descriptor(
            rf"{SSH_HOME}\sshd_config",
            f"O:{USER_SID}D:(A;;FA;;;{USER_SID})(A;;FA;;;BA)",
            machine.user_sids,
            restore=True,
        )
        machine.services.known["sshd"].state = 1
        said = run(machine, KEY)
        assert said.code == 0
        assert "to do  others could write into" in said.out
        assert self.closed(machine)
        assert {ace.sid for ace in machine.drive.descriptor(rf"{SSH_HOME}\logs").aces} == {ADMINISTRATORS, SYSTEM}
        settings = machine.drive.descriptor(rf"{SSH_HOME}\sshd_config")
        assert settings.owner == ADMINISTRATORS
        assert USER_SID not in {ace.sid for ace in settings.aces}
        assert machine.services.known["sshd"].state == 4

    def test_with_something_in_it_before_there_was_a_server(self, machine: Machine, day: FirstDay) -> None:
        machine.drive.write(rf"{SSH_HOME}\;sshd_config", "AuthorizedKeysFile C:/Users/Bert/keys")
        said = run(machine, KEY)
        assert said.code == 1
        assert r"C:\ProgramData\ssh has files in it" in said.err
        assert "rename it, then run this again" in said.err
        assert "sshd" not in machine.services.known
        machine.drive.wipe(SSH_HOME)
        assert run(machine, KEY).code == 0

    def test_that_is_a_link(self, machine: Machine, day: FirstDay) -> None:
        machine.drive.make(r"C:\Users\Bert\his")
        machine.drive.real(SSH_HOME).symlink_to(machine.drive.real(r"C:\Users\Bert\his"))
        said = run(machine, KEY)
        assert (said.code, "is a link" in said.err) == (1, True)

    def test_that_the_desk_finds_good(self, machine: Machine, day: FirstDay) -> None:
        run(machine, KEY)
        assert others_who_change(machine.drive.sddl(SSH_HOME)) == []


class TestDoors:
    @pytest.mark.parametrize("state", ["NeedsLogin", "Expired"])
    def test_the_local_network_may_come_until_the_tailnet_is_there(
        self, machine: Machine, day: FirstDay, state: str
    ) -> None:
        day.login, day.tailnet = False, state
        said = run(machine, KEY)
        assert said.code == 0
        assert "to do  join the tailnet" in said.out
        assert "RA4=LocalSubnet" in rule_of(machine, AT_FIRST)
        assert '("apex", {"ssh_user": "Anna"})' in said.out
        day.login = True
        assert f"removed the firewall's rule '{AT_FIRST}'" in run(machine, KEY).out
        assert machine.firewall.named(AT_FIRST) == machine.firewall.named(LAN) == []

    def test_stopped_is_not_joined(self, machine: Machine, day: FirstDay) -> None:
        run(machine, KEY)
        day.tailnet = "Stopped"
        assert "did    joined the tailnet" in run(machine, KEY).out
        assert day.tailnet == "Running"

    def test_whoever_was_logged_out_is_let_in_from_the_local_network(self, machine: Machine, day: FirstDay) -> None:
        run(machine, KEY)
        day.tailnet, day.login = "Expired", False
        assert "to do  join the tailnet" in run(machine, KEY).out
        assert machine.firewall.named(AT_FIRST)

    @pytest.mark.parametrize("trouble", ["no internet", "other bytes", "installer"])
    def test_somebody_can_come_when_tailscale_fails(self, machine: Machine, day: FirstDay, trouble: str) -> None:
        if trouble == "no internet":
            day.internet.clear()
        elif trouble == "other bytes":
            day.internet[data("TAILSCALE_URL")] = b"something else"
        else:
            day.msiexec_code = 1603
        assert run(machine, KEY).code == 1
        assert "Active=FALSE" in machine.firewall.rules()["OpenSSH-Server-In-TCP"]
        assert "Active=TRUE" in rule_of(machine, AT_FIRST)
        assert "RA4=LocalSubnet" in rule_of(machine, AT_FIRST)
        assert not machine.drive.exists(rf"{SSH_HOME}\llm-harness-tailscale.msi")

    def test_the_shipped_rule_goes_only_when_another_lets_in_the_local_network(
        self, machine: Machine, day: FirstDay
    ) -> None:
        """netsh takes the tailnet's rule and refuses the next."""
        netsh = machine.processes.programs[r"c:\windows\system32\netsh.exe"]

        def refuses(process: Process) -> int:
            return 1 if "remoteip=LocalSubnet" in process.arguments else netsh(process)

        machine.processes.install(r"C:\Windows\System32\netsh.exe", refuses)
        assert "letting the local network in on port 22 did not work" in run(machine, KEY).err
        assert "Active=TRUE" in machine.firewall.rules()["OpenSSH-Server-In-TCP"]

    def test_or_for_good_until_no_lan_is_said(self, machine: Machine, day: FirstDay) -> None:
        run(machine, KEY, "LAN")
        before = everything(machine)
        for words in (("lan",), (), ("lan", "no-tailscale")):
            assert run(machine, KEY, *words).code == 0
            assert everything(machine) == before
        assert "RA4=LocalSubnet" in rule_of(machine, LAN)
        assert machine.firewall.named(AT_FIRST) == []
        run(machine, KEY, "no-lan")
        assert machine.firewall.named(LAN) == []
        assert machine.firewall.named(AT_FIRST) == []

    def test_no_lan_before_the_tailnet_is_there(self, machine: Machine, day: FirstDay) -> None:
        day.login = False
        run(machine, KEY, "lan")
        assert machine.firewall.named(AT_FIRST) == []
        run(machine, KEY, "no-lan")
        assert machine.firewall.named(LAN) == []
        assert machine.firewall.named(AT_FIRST)

    def test_for_good_takes_the_place_of_the_first_one(self, machine: Machine, day: FirstDay) -> None:
        day.login = False
        run(machine, KEY)
        run(machine, KEY, "lan")
        assert machine.firewall.named(LAN)
        assert machine.firewall.named(AT_FIRST) == []

    def test_without_tailscale(self, machine: Machine, day: FirstDay) -> None:
        said = run(machine, KEY, "no-tailscale")
        assert said.code == 0
        assert "to do" not in said.out
        assert day.started == []
        assert not machine.drive.exists(TAILSCALE_EXE)
        assert machine.firewall.named(AT_FIRST)

    def test_a_rule_that_was_switched_off_or_widened_is_made_again(self, machine: Machine, day: FirstDay) -> None:
        run(machine, KEY)
        good = rule_of(machine, "llm-harness ssh")
        (number,) = machine.firewall.named("llm-harness ssh")
        for broken in (
            good.replace("Active=TRUE", "Active=FALSE"),
            re.sub(r"RA[46]=[^|]*\|", "", good),
            good.replace("LPort=22|", ""),
            good.replace("Action=Allow", "Action=Block"),
        ):
            for each in machine.firewall.named("llm-harness ssh"):
                machine.registry.delete(
                    r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules", each
                )
            machine.firewall.put(number, broken)
            run(machine, KEY)
            assert rule_of(machine, "llm-harness ssh") == good


def test_another_shell_of_ssh_is_put_right(machine: Machine, day: FirstDay) -> None:
    machine.registry.set(OPENSSH, "DefaultShell", SZ, r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe")
    machine.registry.set(OPENSSH, "DefaultShellCommandOption", SZ, "-Command")
    assert run(machine, KEY).code == 0
    assert machine.registry.get(OPENSSH, "DefaultShell") == (SZ, r"C:\Windows\System32\cmd.exe")
    assert machine.registry.get(OPENSSH, "DefaultShellCommandOption") is None


def test_git_keeps_its_line_ends() -> None:
    """What a checkout on Linux, a zip or a raw download brings is what cmd reads."""
    raw = SCRIPT.read_bytes()
    assert raw.isascii()
    assert raw.count(b"\r\n") == raw.count(b"\n") > 100
    attributes = (SCRIPT.parents[1] / ".gitattributes").read_text(encoding="ascii")
    assert "*.cmd -text" in attributes
    assert b"powershell" not in raw.lower()
