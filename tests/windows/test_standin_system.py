"""Firewall, access, registry, services, processes and small programs do what windows-system says."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator

import pytest

from .must import must
from .standin import firewall, security
from .standin.drive import Drive
from .standin.machine import USER, USER_SID, Machine
from .standin.processes import Process
from .standin.processtools import connection_table
from .standin.python import World
from .standin.registry import EXPAND_SZ, MACHINE_ENVIRONMENT, RULES, SERVICES, SZ, USER_ENVIRONMENT
from .standin.tools import CBS
from .standin.use import Said, forever, tool, until

ADD = ("advfirewall", "firewall", "add", "rule", "dir=in", "action=allow")


def netsh(machine: Machine, *words: str) -> Said:
    return tool(machine, "netsh", *words, encoding="utf-8")


# -- firewall
@must("firewall 1")
def test_a_rule_string(machine: Machine) -> None:
    before = set(machine.firewall.rules())
    words = ["name=gateway", "protocol=TCP", "localport=4000", "description=ours", "profile=private"]
    assert netsh(machine, *ADD, *words, "remoteip=100.64.0.0/10,10.0.0.7/32,fd7a:115c:a1e0::/48").code == 0
    (name,) = set(machine.firewall.rules()) - before
    assert re.fullmatch(r"\{[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}", name)
    assert machine.firewall.rules()[name] == (
        "v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|Profile=Private|LPort=4000|RA4=100.64.0.0/255.192.0.0|"
        "RA4=10.0.0.7|RA6=fd7a:115c:a1e0::/48|Name=gateway|Desc=ours|"
    )
    netsh(machine, *ADD, "name=open", "protocol=TCP", "localport=1", "profile=any")
    assert "v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=1|Name=open|" in machine.firewall.rules().values()


@must("firewall 2")
def test_equal_names_live_together_and_go_together(machine: Machine) -> None:
    for _ in range(2):
        assert netsh(machine, *ADD, "name=twice").code == 0
    assert len(machine.firewall.named("TWICE")) == 2
    said = netsh(machine, "advfirewall", "firewall", "delete", "rule", "name=twice")
    assert {"en": "Deleted 2 rule(s).", "de": "2 Regel(n) gelöscht."}[machine.language] in said.out
    assert not machine.firewall.named("twice")


@must("firewall 3")
@pytest.mark.parametrize("verb", ["show", "delete"])
def test_no_match(machine: Machine, verb: str) -> None:
    said = netsh(machine, "advfirewall", "firewall", verb, "rule", "name=none")
    text = {"en": firewall.NO_MATCH, "de": "Keine Regeln stimmen mit den angegebenen Kriterien überein."}
    assert (said.code, said.err) == (1, "")
    assert said.out == f"\r\n{text[machine.language]}\r\n\r\n"


@must("firewall 4")
def test_netsh_refuses(machine: Machine) -> None:
    assert "TCP or UDP" in netsh(machine, *ADD, "name=x", "localport=any").out
    assert netsh(machine, *ADD, "name=x", "protocol=TCP", "localport=many").code == 1
    said = netsh(machine, "advfirewall", "firewall", "delete", "rule", "name=x", "description=y")
    assert (said.code, "'description' is not a valid argument" in said.out) == (1, True)
    machine.elevated = False
    assert netsh(machine, *ADD, "name=x").code == 1


@must("firewall 5")
def test_built_in_rules_are_varied(machine: Machine) -> None:
    everything = "\n".join(machine.firewall.rules().values())
    for piece in ("v2.31|", "Name=@FirewallAPI.dll", "|PFN=", "LPort=80|LPort=443", "Profile=Private|Profile=Public"):
        assert piece in everything
    netsh(machine, *ADD, "name=new")
    assert any(each.startswith("v2.33") for each in machine.firewall.rules().values())


@must("firewall 6")
def test_rules_of_others_as_fixtures(machine: Machine) -> None:
    machine.firewall.put(*firewall.QUERY_USER)
    machine.firewall.put(*firewall.TAILSCALE_IN)
    names = machine.firewall.rules()
    assert any(name.startswith("TCP Query User") and "Action=Block" in rule for name, rule in names.items())
    assert len(machine.firewall.named("Tailscale-In")) == 1


@must("firewall 7")
def test_a_direct_write_fails(machine: Machine) -> None:
    with pytest.raises(AssertionError):
        machine.registry.set(RULES, "{X}", SZ, "v2.33|Action=Allow|")


# -- files
def shown_access(machine: Machine, path: str) -> str:
    return tool(machine, "icacls", path).out


def name(machine: Machine, sid: str) -> str:
    return machine.shown(sid)


@must("files 1", "ssh 18")
def test_inherited_access(machine: Machine) -> None:
    machine.drive.make(r"C:\litellm")
    machine.drive.make(r"C:\ProgramData\ours")
    machine.drive.write(r"C:\litellm\config.yaml")
    folder = shown_access(machine, r"C:\litellm")
    assert f"{name(machine, security.AUTHENTICATED)}:(I)(M)" in folder
    assert f"{name(machine, security.AUTHENTICATED)}:(I)(OI)(CI)(IO)(M)" in folder
    assert f"{name(machine, security.AUTHENTICATED)}:(I)(M)" in shown_access(machine, r"C:\litellm\config.yaml")
    below = shown_access(machine, r"C:\ProgramData\ours")
    assert f"{name(machine, security.USERS)}:(I)(CI)(WD,AD,WEA,WA)" in below
    assert f"{machine.shown('S-1-3-0')}:(I)(OI)(CI)(IO)(F)" in below


@must("files 2")
def test_the_moved_file_keeps_its_access(machine: Machine, world: World) -> None:
    os = world.load("os")
    machine.drive.make(r"C:\ProgramData\ours", "O:BAD:P(A;OICI;FA;;;BA)")
    machine.drive.write(r"C:\open\new")
    machine.drive.write(r"C:\ProgramData\ours\old")
    kept = machine.drive.descriptor(r"C:\ProgramData\ours\old")
    moved = machine.drive.descriptor(r"C:\open\new")
    os.replace(r"C:\open\new", r"C:\ProgramData\ours\old")
    assert machine.drive.descriptor(r"C:\ProgramData\ours\old") == moved != kept
    machine.drive.write(r"C:\open\newer")
    machine.drive.replace_file(r"C:\ProgramData\ours\old", r"C:\open\newer")
    assert machine.drive.descriptor(r"C:\ProgramData\ours\old") == moved


@must("files 3")
@pytest.mark.parametrize("owner", [None, USER_SID])
def test_both_owners_of_elevated_creation(machine: Machine, world: World, owner: str | None) -> None:
    machine.drive.owner_is_user = owner
    world.load("os").mkdir(r"C:\ProgramData\ours")
    assert machine.drive.descriptor(r"C:\ProgramData\ours").owner == (owner or security.ADMINISTRATORS)


@must("files 4")
def test_access_is_normalised(machine: Machine) -> None:
    machine.drive.write(r"C:\work\file")
    sddl = "D:(A;;GR;;;BU)(D;;FW;;;BU)(A;;FA;;;BA)(A;;0x100000;;;BU)"
    machine.drive.set_descriptor(r"C:\work\file", sddl, machine.user_sids, restore=False)
    aces = machine.drive.descriptor(r"C:\work\file").aces
    assert [each.allow for each in aces] == [False, True, True]
    assert {hex(each.mask) for each in aces if each.sid == security.USERS and each.allow} == {"0x120089"}
    controls = {re.findall(r"D:(\w*)\(", machine.drive.sddl(r"C:\work\file"))[0] for _ in range(50)}
    assert controls == {"P", "PAI"}


@must("files 5")
def test_refused_owner_access_and_names(machine: Machine) -> None:
    machine.drive.write(r"C:\work\file")
    with pytest.raises(OSError) as problem:
        machine.drive.set_descriptor(r"C:\work\file", "O:SYD:(A;;FA;;;BA)", machine.user_sids, restore=False)
    assert problem.value.winerror == 1307  # type: ignore[attr-defined]
    with pytest.raises(PermissionError) as denied:
        machine.drive.set_descriptor(r"C:\work\file", "D:(A;;FA;;;BA)", frozenset({USER_SID}), restore=False)
    assert denied.value.winerror == 5  # type: ignore[attr-defined]
    said = tool(machine, "icacls", r"C:\work\file", "/grant", "Administrators:(F)")
    assert said.code == (1332 if machine.language == "de" else 0)
    assert tool(machine, "icacls", r"C:\work\file", "/grant", "*S-1-5-32-544:(F)").code == 0


@must("files 6")
def test_icacls_by_flags_and_without_grant(machine: Machine) -> None:
    machine.drive.make(r"C:\work", "O:BAD:P(A;OICI;FA;;;BA)(A;CI;0x1200a9;;;BU)")
    tool(machine, "icacls", r"C:\work", "/grant:r", "*S-1-5-32-545:(OI)(CI)(M)")
    masks = [each.mask for each in machine.drive.descriptor(r"C:\work").aces if each.sid == security.USERS]
    assert sorted(masks) == [0x1200A9, 0x1301BF]
    tool(machine, "icacls", r"C:\work", "/grant:r", "*S-1-5-32-545:(CI)(R)")
    masks = [each.mask for each in machine.drive.descriptor(r"C:\work").aces if each.sid == security.USERS]
    assert sorted(masks) == [0x120089, 0x1301BF]
    machine.drive.make(r"C:\fresh")
    tool(machine, "icacls", r"C:\fresh", "/inheritance:r")
    assert machine.drive.descriptor(r"C:\fresh").aces == ()


# -- registry
@must("registry 1")
def test_type_and_data_are_apart(machine: Machine, world: World) -> None:
    kind, data = machine.registry.get(MACHINE_ENVIRONMENT, "Path") or (0, "")
    assert (kind, "%SystemRoot%" in data) == (EXPAND_SZ, True)
    with pytest.raises(AssertionError):
        machine.registry.set(MACHINE_ENVIRONMENT, "Path", EXPAND_SZ, 3)


@must("registry 2")
def test_names_ignore_case_and_keep_the_first(machine: Machine) -> None:
    machine.registry.set(MACHINE_ENVIRONMENT.upper(), "PATH", EXPAND_SZ, "x")
    key = machine.registry.find(MACHINE_ENVIRONMENT)
    assert key is not None
    assert [name for name, _, data in key.values.values() if data == "x"] == ["Path"]


@must("registry 3")
def test_path_with_empty_parts(machine: Machine) -> None:
    _, machines = machine.registry.get(MACHINE_ENVIRONMENT, "Path") or (0, "")
    _, users = machine.registry.get(USER_ENVIRONMENT, "Path") or (0, "")
    assert ";;" in machines
    assert machines.endswith(";")
    assert users.endswith(";")


@must("registry 4")
def test_sessions_see_new_values_and_keep_deleted_ones(machine: Machine) -> None:
    machine.registry.set(MACHINE_ENVIRONMENT, "NEW", SZ, "1")
    assert machine.session()["NEW"] == "1"
    assert "NEW" not in machine.session(old_sshd=True)
    machine.restart_sshd()
    machine.registry.delete(MACHINE_ENVIRONMENT, "NEW")
    assert machine.session()["NEW"] == "1"
    machine.restart_sshd()
    assert "NEW" not in machine.session()
    assert machine.session()["PATH"].endswith(r"WindowsApps;")


@must("registry 5")
def test_setx_cuts_and_reg_loses_letters(machine: Machine) -> None:
    said = tool(machine, "setx", "LONG", "x" * 2000)
    assert said.code == 0
    assert machine.registry.get(USER_ENVIRONMENT, "LONG") == (SZ, "x" * 1024)
    machine.registry.set(USER_ENVIRONMENT, "WIDE", SZ, "日本")
    assert "??" in tool(machine, "reg", "query", USER_ENVIRONMENT, "/v", "WIDE").out


@must("registry 6")
def test_reg_query_of_nothing(machine: Machine) -> None:
    said = tool(machine, "reg", "query", r"HKLM\SOFTWARE\Nothing")
    assert (said.code, said.out) == (1, "")
    assert {"en": "ERROR: The system was unable", "de": "FEHLER: Der angegebene"}[machine.language] in said.err
    assert tool(machine, "reg", "query", USER_ENVIRONMENT, "/v", "NOTHING").code == 1


# -- services
@must("services 1")
def test_sc_by_language(machine: Machine) -> None:
    said = tool(machine, "sc", "query", "none")
    assert (said.code, said.err) == (1060, "")
    assert {"en": "FAILED 1060", "de": "FEHLER 1060"}[machine.language] in said.out
    assert "STATE              : 4  RUNNING" in tool(machine, "sc", "query", "sshd").out
    assert {"en": "SUCCESS", "de": "ERFOLG"}[machine.language] in tool(machine, "sc", "qc", "sshd").out


@must("services 2")
def test_sc_exit_codes(machine: Machine) -> None:
    assert tool(machine, "sc", "start", "sshd").code == 1056
    assert tool(machine, "sc", "stop", "Spooler").code == 1062
    tool(machine, "sc", "config", "Spooler", "start=", "disabled")
    assert tool(machine, "sc", "start", "Spooler").code == 1058
    machine.elevated = False
    assert tool(machine, "sc", "start", "Spooler").code == 5
    machine.tools.eight_bit_codes = True
    assert tool(machine, "sc", "query", "none").code == 36


@must("services 3")
def test_pending_states(machine: Machine) -> None:
    tool(machine, "sc", "stop", "sshd")
    states = [tool(machine, "sc", "query", "sshd").out for _ in range(3)]
    assert "3  STOP_PENDING" in states[0]
    assert "1  STOPPED" in states[-1]
    tool(machine, "sc", "start", "sshd")
    assert "2  START_PENDING" in tool(machine, "sc", "query", "sshd").out


@must("services 4")
def test_marked_for_deletion(machine: Machine) -> None:
    machine.services.open_handles.add("spooler")
    tool(machine, "sc", "delete", "Spooler")
    assert tool(machine, "sc", "create", "Spooler", "binPath=", "x.exe").code == 1072
    assert tool(machine, "sc", "create", "sshd", "binPath=", "x.exe").code == 1073


@must("services 5")
def test_delayed_start(machine: Machine) -> None:
    machine.services.install("late", "x.exe", 2, delayed=True)
    machine.services.install("manual", "x.exe", 3, delayed=True)
    assert "(DELAYED)" in tool(machine, "sc", "qc", "late").out
    assert "(DELAYED)" not in tool(machine, "sc", "qc", "manual").out
    assert machine.registry.get(f"{SERVICES}\\sshd", "DelayedAutostart") is None
    assert "(DELAYED)" not in tool(machine, "sc", "qc", "sshd").out


@must("services 6")
def test_direct_writes_wait_for_the_boot(machine: Machine) -> None:
    machine.registry.set(f"{SERVICES}\\Spooler", "Start", 4, 4)
    assert "DEMAND_START" in tool(machine, "sc", "qc", "Spooler").out
    machine.reboot()
    assert "DISABLED" in tool(machine, "sc", "qc", "Spooler").out


# -- processes and sockets
@must("processes 1")
def test_netstat(machine: Machine) -> None:
    machine.tools.sockets += [
        ("TCP", "0.0.0.0", 22, "LISTENING", 1234),
        ("TCP", "::", 22, "LISTENING", 1234),
        ("TCP", "100.64.0.7", 22, "TIME_WAIT", 77),
        ("UDP", "0.0.0.0", 41641, "", 99),
    ]
    rows = [each.split() for each in tool(machine, "netstat", "-ano").out.splitlines() if each.startswith("  ")][1:]
    assert rows[0][3] == {"en": "LISTENING", "de": "ABHÖREN"}[machine.language]
    assert rows[1][1:3] == ["[::]:22", "[::]:0"]
    assert rows[2][-1] == "0"
    assert rows[3] == ["UDP", "0.0.0.0:41641", "*:*", "99"]


@must("processes 2")
def test_an_empty_tasklist(machine: Machine) -> None:
    said = tool(machine, "tasklist", "/FO", "CSV", "/NH", "/FI", "PID eq 99999")
    assert said.code == 0
    assert not said.out.startswith('"')


@must("processes 3")
def test_taskkill(machine: Machine) -> None:
    def parent(process: Process) -> int:
        process.start(r"C:\work\child.exe")
        return process.live()

    machine.processes.install(r"C:\work\parent.exe", parent)
    forever(machine, r"C:\work\child.exe")
    started = machine.processes.start([r"C:\work\parent.exe"], machine.process())
    until(lambda: machine.processes.find("child.exe"))
    (child,) = machine.processes.find("child.exe")
    said = tool(machine, "taskkill", "/F", "/T", "/PID", str(started.pid))
    assert said.code == 0
    lines = said.out.splitlines()
    assert str(child.pid) in lines[0]
    assert str(started.pid) in lines[1]
    missing = tool(machine, "taskkill", "/F", "/PID", "99999")
    assert (missing.code, missing.out) == (128, "")
    machine.tools.refused_pids.add(machine.process().pid)
    refused = tool(machine, "taskkill", "/F", "/PID", str(machine.process().pid))
    assert (refused.code, refused.out) == (1, "")


@must("processes 4")
def test_the_connection_table(machine: Machine) -> None:
    machine.tools.sockets.append(("TCP", "127.0.0.1", 11434, "LISTENING", 4242))
    error, needed, _ = connection_table(machine, 0)
    assert error == 122
    machine.tools.sockets.append(("TCP", "127.0.0.1", 4000, "LISTENING", 4))
    error, more, _ = connection_table(machine, needed)
    assert (error, more > needed) == (122, True)
    error, _, rows = connection_table(machine, 10_000)
    ports = [(port & 0xFF) << 8 | (port >> 8) & 0xFF for _, port, _ in rows]
    assert (error, ports[:2]) == (0, [11434, 4000])
    assert any(port >> 16 for _, port, _ in rows)


@must("processes 5")
def test_numbers_are_used_again(machine: Machine, world: World) -> None:
    forever(machine)
    win32 = world.load("deploys.agent.windows.win32")
    first = machine.processes.start([r"C:\work\job.exe"], machine.process())
    began = win32.created(first.pid)
    machine.processes.end(first, 0)
    machine.processes.reuse.append(first.pid)
    second = machine.processes.start([r"C:\work\job.exe"], machine.process())
    assert second.pid == first.pid
    assert win32.created(second.pid) != began


# -- others
@must("others 1")
def test_certutil(machine: Machine) -> None:
    machine.drive.write(r"C:\work\file", b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    said = tool(machine, "certutil", "-hashfile", r"C:\work\file", "SHA256")
    assert digest in said.out
    assert {"en": "SHA256 hash of", "de": "SHA256-Hash von"}[machine.language] in said.out
    machine.tools.old_certutil = True
    old = tool(machine, "certutil", "-hashfile", r"C:\work\file", "SHA256").out
    assert digest in old.replace(" ", "")
    assert digest not in old
    assert tool(machine, "certutil", "-hashfile", r"C:\work\none", "SHA256").code == -2147024894


@must("others 2")
def test_powercfg(machine: Machine) -> None:
    sleep = ("238c9fa8-0aad-41ed-83f4-97be242c8f20", "29f6c1db-86da-48c5-9fdb-f2b67b1f44da")
    said = tool(machine, "powercfg", "/query", "SCHEME_CURRENT", *sleep)
    assert re.findall(r"0x([0-9a-f]{8})\b", said.out)[-2:] == ["00000708", "00000384"]
    assert sleep[1] in said.out
    assert ("Power Setting" in said.out) is (machine.language == "en")


@must("others 3")
def test_dism(machine: Machine) -> None:
    feature = "/FeatureName:VirtualMachinePlatform"
    assert tool(machine, "dism", "/Online", "/Enable-Feature", feature).code == 3010
    assert "Enable Pending" in tool(machine, "dism", "/English", "/Online", "/Get-FeatureInfo", feature).out
    assert machine.registry.find(f"{CBS}\\RebootPending") is not None
    machine.elevated = False
    assert tool(machine, "dism", "/Online", "/Get-Features").code == 740


@must("others 4")
def test_wsl(machine: Machine) -> None:
    assert "Running" in tool(machine, "wsl", "-l", "-v", encoding="utf-16-le").out
    narrow = {**machine.process().environment, "WSL_UTF8": "1"}
    assert "Running" in tool(machine, "wsl", "-l", "-v", encoding="utf-8", environment=narrow).out
    machine.tools.wsl = False
    for code in (1, 0xFFFFFFFF):
        machine.tools.wsl_missing_code = code
        assert tool(machine, "wsl", "--status", encoding="utf-16-le").code == code


@must("others 5")
def test_nvidia_smi(machine: Machine) -> None:
    query = ("--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
    machine.tools.cards = ["NVIDIA GeForce RTX 3090, 24576", "NVIDIA GeForce RTX 4060, 8188"]
    assert len(tool(machine, "nvidia-smi", *query).out.splitlines()) == 2
    assert "[N/A]" in tool(machine, "nvidia-smi", "--query-compute-apps=pid,name,used_memory", query[1]).out
    del machine.processes.programs[r"c:\windows\system32\nvidia-smi.exe"]
    machine.drive.real(r"C:\Windows\System32\nvidia-smi.exe").unlink()
    with pytest.raises(FileNotFoundError):
        tool(machine, "nvidia-smi", *query)


@pytest.fixture
def archive(machine: Machine) -> Iterator[Drive]:
    machine.drive.make(r"C:\work")
    with zipfile.ZipFile(machine.drive.real(r"C:\work\x.zip"), "w") as packed:
        packed.writestr("a.exe", "new a")
        packed.writestr("b.exe", "new b")
    yield machine.drive


@must("others 6")
def test_tar(machine: Machine, archive: Drive) -> None:
    words = ("tar", "-xf", r"C:\work\x.zip", "-C", r"C:\work\into")
    assert tool(machine, *words).code == 1
    archive.write(r"C:\work\into\b.exe", b"old b")
    archive.loaded.add(r"c:\work\into\b.exe")
    assert tool(machine, *words).code == 1
    assert archive.read(r"C:\work\into\a.exe") == b"new a"
    assert archive.read(r"C:\work\into\b.exe") == b"old b"


def test_the_user_is_not_the_machine(machine: Machine) -> None:
    assert machine.shown(USER_SID) == f"APEX\\{USER}"
