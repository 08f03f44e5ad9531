"""Resources of Windows where only a stand-in can be made to fail, or where a test must not change a real machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .benches import StandInBench
from .standin import firewall
from .standin.machine import Machine
from .standin.processes import Process
from .standin.registry import MACHINE_ENVIRONMENT, SZ
from .standin.tools import CBS
from .test_kinds import RULE, Kind, netsh

UNINSTALL = r"HKLM\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall"


@pytest.fixture
def refused(bench: StandInBench) -> Any:
    return bench.load("errors").Refused


def test_a_variable_of_the_machine_is_broadcast(bench: StandInBench, machine: Machine, refused: Any) -> None:
    kind = Kind(bench, "variable")
    kind.ensure("machine/NEW", value="1")
    assert machine.registry.get(MACHINE_ENVIRONMENT, "NEW") == (SZ, "1")
    assert machine.broadcasts == 1
    machine.elevated = False
    with pytest.raises(refused):
        kind.ensure("machine/NEW", value="2")
    assert machine.registry.get(MACHINE_ENVIRONMENT, "NEW") == (SZ, "1")


def test_a_path_keeps_its_empty_parts_and_its_type(bench: StandInBench, machine: Machine) -> None:
    kind = Kind(bench, "path_entry")
    before = machine.registry.get(MACHINE_ENVIRONMENT, "Path")
    assert before is not None
    assert kind.look(r"machine/C:\WINDOWS\SYSTEM32\\") == {}
    kind.ensure(r"machine/C:\Ours")
    assert machine.registry.get(MACHINE_ENVIRONMENT, "Path") == (before[0], before[1] + r"C:\Ours")
    kind.remove(r"machine/C:\Ours")
    assert machine.registry.get(MACHINE_ENVIRONMENT, "Path") == (before[0], before[1].rstrip(";"))


def test_a_value_that_somebody_else_writes_back(
    bench: StandInBench, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    monkeypatch.setattr(bench.load("windows.win32"), "set_value", lambda *_: None)
    with pytest.raises(refused, match="Windows keeps None"):
        Kind(bench, "registry_value").ensure(r"HKCU\Software\x\y", type="dword", data=1)


def test_a_path_that_would_be_too_long(bench: StandInBench, machine: Machine, refused: Any) -> None:
    machine.registry.set(MACHINE_ENVIRONMENT, "Path", 2, "x" * 32_760)
    with pytest.raises(refused, match="characters"):
        Kind(bench, "path_entry").ensure(r"machine/C:\Ours")


def test_rules_of_others_are_told(bench: StandInBench, machine: Machine) -> None:
    machine.firewall.put(*firewall.QUERY_USER)
    machine.firewall.put(*firewall.TAILSCALE_IN)
    found = Kind(bench, "firewall_rule").ensure("gateway", spec=RULE)
    assert found["as_wanted"]
    assert found["blocked_by"] == ["ollama.exe"]
    assert found["opened_by"] == ["Tailscale-In"]
    assert found["widened_by"] == []  # it is bound to an address of the tailnet
    machine.firewall.put("{0}", "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=45999|Name=wide|")
    assert Kind(bench, "firewall_rule").look("gateway", RULE)["widened_by"] == ["wide"]


def test_a_rule_of_others_is_switched_off_and_comes_back(
    bench: StandInBench, machine: Machine, monkeypatch: pytest.MonkeyPatch, refused: Any
) -> None:
    kind, which = Kind(bench, "firewall_rule"), "two ports"
    before, off = machine.firewall.rules(), {"enabled": False}
    assert kind.look("none", off) is None
    assert kind.ensure("none", spec=off) is None
    kind.remove("none")
    assert kind.look(which, off)["differs"] == ["enabled"]
    assert kind.ensure(which, spec=off)["as_wanted"]
    changed = {name for name, rule in machine.firewall.rules().items() if before[name] != rule}
    assert [before[each].replace("Active=TRUE", "Active=FALSE") for each in changed] == [
        machine.firewall.rules()[each] for each in changed
    ]
    assert kind.ensure(which, spec=off)["as_wanted"]
    kind.remove(which)
    assert machine.firewall.rules() == before
    kind.ensure(which, spec=off)
    machine.firewall.rules()
    netsh(bench, "delete", "rule", f"name={which}")
    kind.remove(which)  # whoever deleted it meant it
    assert kind.look(which, off) is None
    machine.firewall.put("{1}", before[changed.pop()])
    machine.processes.install(r"C:\Windows\System32\netsh.exe", lambda process: 0)
    with pytest.raises(refused, match="leaves it on"):
        kind.ensure(which, spec=off)


def test_a_rule_of_others_under_our_name_comes_back(bench: StandInBench, machine: Machine) -> None:
    kind = Kind(bench, "firewall_rule")
    netsh(bench, "add", "rule", "name=gateway", "dir=in", "action=allow", "protocol=tcp", "localport=4001")
    before = kind.look("gateway", {**RULE, "ports": [4001], "remote": [], "description": ""})
    assert before["as_wanted"]
    assert kind.ensure("gateway", spec=RULE)["as_wanted"]
    kind.remove("gateway")
    assert kind.look("gateway", {**RULE, "ports": [4001], "remote": [], "description": ""}) == before


def test_a_rule_that_windows_keeps_otherwise(bench: StandInBench, machine: Machine, refused: Any) -> None:
    machine.processes.install(r"C:\Windows\System32\netsh.exe", lambda process: 0)
    with pytest.raises(refused, match="keeps another"):
        Kind(bench, "firewall_rule").ensure("gateway", spec=RULE)


def test_rules_without_elevation(bench: StandInBench, machine: Machine, refused: Any) -> None:
    machine.elevated = False
    with pytest.raises(refused, match=r"elevation|Rechte"):
        Kind(bench, "firewall_rule").ensure("gateway", spec=RULE)


# -- services
def test_a_service_of_windows(bench: StandInBench, machine: Machine, refused: Any) -> None:
    kind = Kind(bench, "windows_service")
    assert kind.look("Spooler") == {"start": "manual", "running": False}
    assert kind.ensure("Spooler", start="delayed", running=True) == {"start": "delayed", "running": True}
    assert kind.ensure("Spooler", start="disabled", running=False) == {"start": "disabled", "running": False}
    kind.remove("Spooler")
    assert kind.look("Spooler") == {"start": "manual", "running": False}
    machine.services.install("Early", "x.sys", 0)
    assert kind.look("Early") == {"start": "boot", "running": False}
    machine.elevated = False
    for start, running in (("auto", False), ("manual", True)):
        with pytest.raises(refused, match="Windows says 5"):
            kind.ensure("Spooler", start=start, running=running)


# -- features
def test_a_feature(bench: StandInBench, machine: Machine, refused: Any) -> None:
    kind = Kind(bench, "feature")
    assert kind.look("VirtualMachinePlatform") == {"enabled": False, "pending": False}
    assert kind.ensure("VirtualMachinePlatform", enabled=True) == {"enabled": True, "pending": True}
    assert Kind(bench, "reboot").look("pending")["pending"] == ["a feature or an update"]
    kind.remove("VirtualMachinePlatform")  # others may use it by now: it is forgotten, no more
    assert kind.look("VirtualMachinePlatform") == {"enabled": True, "pending": True}
    assert kind.ensure("VirtualMachinePlatform", enabled=False) == {"enabled": False, "pending": False}
    kind.remove("VirtualMachinePlatform")
    assert kind.look("VirtualMachinePlatform") == {"enabled": False, "pending": False}
    with pytest.raises(refused, match="dism says"):
        kind.look("NoSuchFeature")
    real = machine.processes.programs[r"c:\windows\system32\dism.exe"]

    def deaf(process: Process) -> int:
        return 0 if "/Enable-Feature" in process.arguments else real(process)

    machine.processes.install(r"C:\Windows\System32\dism.exe", deaf)
    with pytest.raises(refused, match="left it as it was"):
        kind.ensure("VirtualMachinePlatform", enabled=True)
    machine.elevated = False
    with pytest.raises(refused, match="740"):
        kind.look("VirtualMachinePlatform")


# -- power, restart
def test_power(bench: StandInBench, machine: Machine, refused: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = Kind(bench, "power")
    assert kind.look("sleep") == {"plugged_s": 1800, "battery_s": 900}
    assert kind.ensure("sleep", plugged_s=0, battery_s=600) == {"plugged_s": 0, "battery_s": 600}
    assert kind.ensure("sleep", plugged_s=60, battery_s=None) == {"plugged_s": 60, "battery_s": 600}
    kind.remove("sleep")
    assert kind.look("sleep") == {"plugged_s": 1800, "battery_s": 900}
    machine.processes.install(r"C:\Windows\System32\powercfg.exe", lambda process: 1)
    with pytest.raises(refused, match="no reason"):
        kind.look("sleep")
    with pytest.raises(refused, match="set power setting"):
        kind.kind._powercfg("sleep", "/setactive", "x")
    monkeypatch.setattr(type(kind.kind), "_powercfg", lambda *_: None)
    monkeypatch.setattr(type(kind.kind), "state", lambda *_: {"plugged_s": 1, "battery_s": 1})
    with pytest.raises(refused, match="Windows keeps"):
        kind.ensure("sleep", plugged_s=0, battery_s=0)


def test_a_machine_without_such_a_power_setting(bench: StandInBench, machine: Machine, refused: Any) -> None:
    """It never sleeps: as good as told not to."""
    real, kind = machine.processes.programs[r"c:\windows\system32\powercfg.exe"], Kind(bench, "power")
    hidden = {"/query", "/qh"}

    def powercfg(process: Process) -> int:
        return 0 if process.arguments[0] in hidden else real(process)

    machine.processes.install(r"C:\Windows\System32\powercfg.exe", powercfg)
    assert kind.look("hibernate") is None
    assert kind.ensure("hibernate", plugged_s=0, battery_s=None) is None
    kind.remove("hibernate")
    with pytest.raises(refused, match="this machine has none"):
        kind.ensure("hibernate", plugged_s=60, battery_s=None)
    hidden.remove("/qh")
    assert kind.ensure("hibernate", plugged_s=60, battery_s=None)["plugged_s"] == 60


def test_a_restart_only_when_it_is_pending(bench: StandInBench, machine: Machine, refused: Any) -> None:
    kind = Kind(bench, "reboot")
    before = kind.look("pending")
    assert before["pending"] == []
    kind.ensure("pending")
    assert not machine.reboot_asked
    machine.registry.find(f"{CBS}\\RebootPending", make=True)
    assert kind.ensure("pending")["pending"] == ["a feature or an update"]
    assert machine.reboot_asked
    machine.reboot()
    assert kind.look("pending")["boot"] != before["boot"]
    machine.processes.install(r"C:\Windows\System32\shutdown.exe", lambda process: 5)
    with pytest.raises(refused, match="Windows says 5"):
        kind.ensure("pending")
    kind.remove("pending")


# -- sockets
def test_listeners_with_their_owners(bench: StandInBench, machine: Machine, refused: Any) -> None:
    owner = bench.start("forever")
    machine.tools.sockets += [
        ("TCP", "127.0.0.1", 11434, "LISTENING", owner),
        ("TCP", "::1", 11434, "LISTENING", owner),
        ("TCP", "100.64.0.7", 22, "ESTABLISHED", 9),
        ("TCP", "100.64.0.7", 23, "TIME_WAIT", 9),
        ("UDP", "0.0.0.0", 41641, "", 9),
    ]
    found = bench.load("windows.sockets").listeners()
    assert [(each["address"], each["port"], each["program"]) for each in found] == [
        ("127.0.0.1", 11434, "forever.exe"),
        ("::1", 11434, "forever.exe"),
    ]
    machine.processes.install(r"C:\Windows\System32\netstat.exe", lambda process: 1)
    with pytest.raises(refused, match="netstat ended with 1"):
        bench.load("windows.sockets").listeners()


# -- the registry
def test_a_key_that_shrinks_while_it_is_read(bench: StandInBench, machine: Machine) -> None:
    values, installers = bench.load("windows.registryvalues"), bench.load("windows.installers")
    machine.registry.set(r"HKLM\SOFTWARE\Ours", "Name", 1, "text")
    uninstall = installers.UNINSTALL[0]
    for name, data in (("DisplayName", "Tool"), ("DisplayVersion", "1.0")):
        machine.registry.set(rf"{uninstall}\Tool", name, 1, data)
    machine.registry.shrinks = dict.fromkeys((r"HKLM\SOFTWARE\Ours", uninstall, rf"{uninstall}\Tool"), True)
    assert values.read(r"HKLM\SOFTWARE\Ours", "Name") == {"type": "string", "data": "text"}
    assert installers.installed("Tool") == "1.0"
    assert not machine.registry.shrinks


def test_any_other_trouble_with_a_key_is_told(bench: StandInBench, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(key: str) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(bench.load("windows.win32"), "values", denied)
    with pytest.raises(PermissionError):
        bench.load("windows.registryvalues").read(r"HKLM\SOFTWARE\Ours", "Name")


# -- directories
def test_access_is_not_given_through_a_link(bench: StandInBench, machine: Machine, refused: Any) -> None:
    """Whoever made it before us would choose whose access we change."""
    machine.drive.make(r"C:\Windows\Fonts")
    machine.drive.real(r"C:\litellm").symlink_to(machine.drive.real(r"C:\Windows\Fonts"))
    before = machine.drive.descriptor(r"C:\Windows\Fonts")
    with pytest.raises(refused, match="link to another place"):
        bench.load("windows.system").Windows().grant(r"C:\litellm", "everyone")
    assert machine.drive.descriptor(r"C:\Windows\Fonts") == before


# -- releases and environments: one directory a version
VERSIONED = {
    "release": ("downloads", ".release.json", {"sha256": "z", "contents": {}}),
    "venv": ("venvs", ".venv.json", {"program": "x", "python": "y", "lock": "z", "seen": ""}),
}


@pytest.mark.parametrize("kind", VERSIONED)
def test_a_version_in_use_is_not_half_removed(
    bench: StandInBench, machine: Machine, refused: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(bench.load("patience"), "RETRY_S", 0.1)
    module, mark, content = VERSIONED[kind]
    home = bench.load("home").Home(bench.load("windows.system").Windows(), bench.home)
    versions = getattr(bench.load(f"kinds.{module}"), f"{kind.title()}s")(home.system, home)
    place, library = r"C:\litellm\versions", r"C:\litellm\versions\0123\Lib\litellm.py"
    bench.write(rf"{place}\0123\{mark}", json.dumps(content).encode())
    bench.write(library, b"")
    home.remember(kind, place)
    with bench.open(library), pytest.raises(refused) as problem:
        versions.remove({"id": place}, lambda _: None)
    assert problem.value.what == rf"remove {place}\0123"
    assert problem.value.fix == "end what runs from it or has a file of it open, then converge again"
    assert bench.exists(rf"{place}\0123\{mark}")
    assert home.entry(kind, place)
    versions.remove({"id": place}, lambda _: None)
    assert not bench.exists(place)
    assert not home.entry(kind, place)


def test_what_was_just_unpacked_is_waited_for(
    bench: StandInBench, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Antivirus has its files open one after the other, for longer than any other file of ours."""
    monkeypatch.setattr(bench.load("patience"), "RETRY_S", 0.01)
    system, versions = bench.load("windows.system").Windows(), bench.load("kinds.versions")
    new, final = r"C:\litellm\versions\.1.new", r"C:\litellm\versions\1"
    bench.write(rf"{new}\program.exe", b"new")
    bench.write(rf"{final}\program.exe", b"damaged")
    for held, wait_s in ((new, 0.4), (final, 0.6)):
        threading.Timer(wait_s, bench.open(rf"{held}\program.exe").close).start()
    versions.take_name(system, new, final)
    assert bench.read(rf"{final}\program.exe") == b"new"
    assert not bench.exists(new)


@pytest.mark.parametrize("kind", VERSIONED)
def test_an_older_version_in_use_stays_whole(
    bench: StandInBench, machine: Machine, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(bench.load("patience"), "RETRY_S", 0.1)
    module, mark, content = VERSIONED[kind]
    place, versions, ours = r"C:\litellm\versions", bench.load("kinds.versions"), bench.load(f"kinds.{module}")._mark
    for age, name in ((30, "oldest"), (20, "older"), (10, "present")):
        for file in (mark, "library.py"):
            bench.write(rf"{place}\{name}\{file}", json.dumps(content).encode())
        made = time.time() - age
        os.utime(machine.drive.real(rf"{place}\{name}\{mark}"), (made, made))
    with bench.open(place + r"\oldest\library.py"):
        versions.keep_two(place, "present", mark, ours)
    assert bench.exists(rf"{place}\oldest\{mark}")
    versions.keep_two(place, "present", mark, ours)
    assert [bench.exists(rf"{place}\{name}") for name in ("oldest", "older", "present")] == [False, True, True]


# -- installers
def test_a_boot_without_identity_wants_no_restart(
    bench: StandInBench, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows may tell nothing of the process `System`: then nothing is known, not that everything waits."""
    kind, reboot = Kind(bench, "installer"), Kind(bench, "reboot")
    key = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\Tool"
    for name, data in (("DisplayName", "Tool"), ("DisplayVersion", "1.0")):
        machine.registry.set(key, name, 1, data)
    kind.home.remember("installer", "Tool", restart="")
    monkeypatch.setattr(bench.load("windows.win32"), "created", lambda pid: 0)
    assert kind.look("Tool") == {"version": "1.0", "restart": False}
    assert reboot.look("pending") == {"pending": [], "boot": ""}


@pytest.mark.parametrize(("hive", "whose"), [("HKCU", "the user of the desk"), (r"HKU\S-1-5-18", "SYSTEM")])
def test_a_program_of_one_user_is_neither_there_nor_missing(
    bench: StandInBench, machine: Machine, hive: str, whose: str
) -> None:
    """Installers run as SYSTEM, looks as the user of the desk: each has a list of its own."""
    alone = rf"{hive}\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\x"
    machine.registry.set(alone, "DisplayName", SZ, "Program")
    machine.registry.set(alone, "DisplayVersion", SZ, "1.0")
    kind = Kind(bench, "installer")
    assert kind.look("Program")["unknown"] == {
        "what": "install Program",
        "why": f"Windows lists it for {whose} alone",
        "fix": "uninstall it there; name an installer, or arguments, for the whole machine in group_data",
    }
    assert kind.look("Other") is None
    machine.registry.set(rf"{UNINSTALL}\x", "DisplayName", SZ, "Program")
    machine.registry.set(rf"{UNINSTALL}\x", "DisplayVersion", SZ, "1.2")
    assert kind.look("Program")["version"] == "1.2"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A server that gives one installer: its URL without the ending, and the sha256."""
    content = b"MZ installer"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/setup", hashlib.sha256(content).hexdigest()
    server.shutdown()
    server.server_close()


class Setup:
    """An installer: its exit codes one after another, and whether Windows lists the program after a good one."""

    def __init__(self, machine: Machine, *codes: int, lists: bool = True) -> None:
        self.machine, self.codes, self.lists = machine, list(codes), lists
        self.commands: list[list[str]] = []

    def __call__(self, process: Process) -> int:
        self.commands.append([process.image, *process.arguments])
        code = self.codes.pop(0)
        if self.lists and code in (0, 3010):
            key = UNINSTALL + r"\{44E83376}_is1"
            self.machine.registry.set(key, "DisplayName", SZ, "Program version 1.2")
            self.machine.registry.set(key, "DisplayVersion", SZ, "1.2")
        return code


def put(bench: StandInBench, sha256: str, setup: Setup, ending: str = ".exe") -> None:
    bench.machine.processes.install(rf"{bench.home}\downloads\{sha256}{ending}", setup)
    if ending == ".msi":
        bench.machine.processes.install(r"C:\Windows\System32\msiexec.exe", setup)


@pytest.fixture
def order(bench: StandInBench, shop: tuple[str, str]) -> dict[str, Any]:
    bench.load("windows.system").Windows().make_private(bench.home + r"\downloads")
    return {"url": shop[0] + ".exe", "sha256": shop[1], "arguments": ["/VERYSILENT"]}


def stored(bench: StandInBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that the tests put there is the right one."""
    installers = bench.load("windows.installers")
    monkeypatch.setattr(installers, "sha256_of", lambda path: path.rpartition("\\")[2].partition(".")[0])


def test_an_installer(
    bench: StandInBench, machine: Machine, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, setup = Kind(bench, "installer"), Setup(machine, 1618, 3010)
    monkeypatch.setattr(bench.load("windows.installers"), "BUSY_PAUSE_S", 0)
    put(bench, order["sha256"], setup)
    stored(bench, monkeypatch)
    assert kind.look("Program") is None
    assert kind.ensure("Program", **order) == {"version": "1.2", "restart": True}
    assert [each[1:] for each in setup.commands] == [["/VERYSILENT"]] * 2
    assert not bench.exists(rf"{bench.home}\downloads\{order['sha256']}.exe")
    restart = Kind(bench, "reboot")
    assert restart.look("pending")["pending"] == ["Program"]
    machine.reboot()
    assert restart.look("pending")["pending"] == []
    assert kind.look("Program") == {"version": "1.2", "restart": False}
    kind.remove("Program")
    assert kind.look("Program") == {"version": "1.2", "restart": False}


@pytest.mark.parametrize(
    ("shown", "is_it"),
    [
        ("Program", True),
        ("program 24.09 (x64)", True),
        ("Program version 1.2", True),
        ("Program v2", True),
        ("Program (64-bit)", True),
        ("Program Update", False),
        ("Program Helper 1.2", False),
        ("Programs", False),
    ],
)
def test_a_program_by_its_listed_name(bench: StandInBench, machine: Machine, shown: str, is_it: bool) -> None:
    """`Windows Subsystem for Linux Update` is another program than `Windows Subsystem for Linux`."""
    machine.registry.set(UNINSTALL + r"\{44E83376}_is1", "DisplayName", SZ, shown)
    machine.registry.set(UNINSTALL + r"\{44E83376}_is1", "DisplayVersion", SZ, "1.2")
    assert bench.load("windows.installers").installed("Program") == ("1.2" if is_it else None)


def test_a_package_of_windows_installer(
    bench: StandInBench, machine: Machine, order: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Setup(machine, 0)
    put(bench, order["sha256"], setup, ".msi")
    stored(bench, monkeypatch)
    order["url"] = order["url"].replace(".exe", ".msi?x=1")
    Kind(bench, "installer").ensure("Program", **order)
    assert setup.commands[0][0].endswith("msiexec.exe")
    assert setup.commands[0][1] == "/i"


@pytest.mark.parametrize(
    ("codes", "lists", "why"),
    [((5,), True, "ended with 5"), ((0,), False, "does not list"), ((1618,) * 2, True, "1618")],
)
def test_installers_that_fail(  # noqa: PLR0917
    bench: StandInBench,
    machine: Machine,
    order: dict[str, Any],
    refused: Any,
    monkeypatch: pytest.MonkeyPatch,
    codes: tuple[int, ...],
    lists: bool,
    why: str,
) -> None:
    monkeypatch.setattr(bench.load("windows.installers"), "BUSY_PAUSE_S", 0)
    monkeypatch.setattr(bench.load("windows.installers"), "BUSY_TRIES", 2)
    put(bench, order["sha256"], Setup(machine, *codes, lists=lists))
    stored(bench, monkeypatch)
    with pytest.raises(refused, match=why):
        Kind(bench, "installer").ensure("Program", **order)


def test_a_download_of_other_bytes_installs_nothing(
    bench: StandInBench, machine: Machine, order: dict[str, Any], refused: Any
) -> None:
    with pytest.raises(refused, match="nothing was installed"):
        Kind(bench, "installer").ensure("Program", **{**order, "sha256": "0" * 64})
    with pytest.raises(refused, match="does not start it"):  # the right bytes, but no program of this machine
        Kind(bench, "installer").ensure("Program", **order)
