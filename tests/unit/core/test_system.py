"""The role system: everything that its data names, on the stand-in Windows machine, by pyinfra's own command."""

from __future__ import annotations

from pathlib import Path

from tests.windows.standin import security
from tests.windows.standin.registry import DWORD, EXPAND_SZ, MACHINE_ENVIRONMENT, SZ

from .elsewhere import Elsewhere
from .project import Project

BERT = "S-1-5-21-1004336348-1177238915-682003330-1002"
EVERYTHING = (
    'variables = [Variable("COLOUR", "green"), Variable("PLACE", "%TEMP%\\\\x", scope="user")]',
    'path_entries = [PathEntry("C:\\\\Ours"), PathEntry("c:\\\\tools")]',
    'registry_values = [RegistryValue("HKLM\\\\SOFTWARE\\\\Ours\\\\Number", "dword", 7)]',
    'power = [Power("sleep", plugged_s=0)]',
    'system_services = [SystemService("Spooler", start="disabled", running=False)]',
    'firewall_rules = [FirewallRule("door", ports=[4000], remote=["100.64.0.0/10"], description="one door"),'
    ' FirewallRule("two ports", enabled=False)]',
    'features = [Feature("VirtualMachinePlatform")]',
    'tasks = [ScheduledTask("nightly", ["C:\\\\work\\\\short.exe"], [Trigger("daily", "2026-01-01T03:00:00")])]',
)
IDENTITIES = [
    ("variable", "machine/COLOUR"),
    ("variable", "user/PLACE"),
    ("path_entry", r"machine/C:\Ours"),
    ("path_entry", r"machine/c:\tools"),
    ("registry_value", r"HKLM\SOFTWARE\Ours\Number"),
    ("power", "sleep"),
    ("windows_service", "Spooler"),
    ("firewall_rule", "door"),
    ("firewall_rule", "two ports"),
    ("feature", "VirtualMachinePlatform"),
    ("task", "nightly"),
]


def test_everything_from_nothing_then_one_look_then_gone(there: Elsewhere) -> None:
    path = there.machine.registry.get(MACHINE_ENVIRONMENT, "Path")
    rules = there.machine.firewall.rules()
    there.machine.registry.set(MACHINE_ENVIRONMENT, "COLOUR", EXPAND_SZ, "%THEIRS%")
    there.has(*EVERYTHING)
    planned = there.project.plan()
    assert planned.said("planned") == IDENTITIES, planned.output
    assert set(there.verbs) == {"look"}
    made = there.project.converge()
    assert made.said("changed") == IDENTITIES, made.output
    reasons = {each["id"]: each["why"] for each in planned.report if "id" in each}
    assert reasons[r"machine/c:\tools"] == "as wanted, but not noted as ours"
    assert reasons["machine/COLOUR"] == "value differs"
    assert reasons["sleep"] == "happens after 1800 s (plugged)"
    assert reasons["Spooler"] == "starts manual, not disabled"
    assert reasons["two ports"] == "is on"
    shown = {each["id"]: each["difference"] for each in planned.report if "id" in each}
    assert shown["machine/COLOUR"] == "-%THEIRS%\n+green"
    assert shown["user/PLACE"] == "-(none)\n+%TEMP%\\x"
    assert shown["door"].splitlines()[-1] == "+description: one door"
    assert there.machine.registry.get(r"HKLM\SOFTWARE\Ours", "Number") == (DWORD, 7)

    there.verbs.clear()
    again = there.project.converge()
    assert again.said("changed") == [], again.output
    assert there.verbs == ["look"]

    there.has()
    leaving = {each["id"]: each["why"] for each in there.project.plan().report if "id" in each}
    assert leaving["VirtualMachinePlatform"] == "no longer in the data; it stays as it is on the machine"
    assert leaving["nightly"] == "no longer in the data"
    gone = there.project.converge()
    assert gone.said("changed") == IDENTITIES[::-1], gone.output
    assert there.machine.registry.get(MACHINE_ENVIRONMENT, "COLOUR") == (EXPAND_SZ, "%THEIRS%")
    assert path is not None
    assert there.machine.registry.get(MACHINE_ENVIRONMENT, "Path") == (path[0], path[1].rstrip(";"))
    assert there.machine.registry.get(r"HKLM\SOFTWARE\Ours", "Number") is None
    assert there.machine.firewall.rules() == rules
    assert there.machine.tools.features["VirtualMachinePlatform"] != "Disabled"  # others may use it by now
    there.verbs.clear()
    assert there.project.converge().said("changed") == []
    assert there.verbs == ["look"]


def broken(there: Elsewhere, which: str) -> None:
    """One thing changed by hand."""
    machine, load = there.machine, there.bench.load
    if which == "machine/COLOUR":
        machine.registry.set(MACHINE_ENVIRONMENT, "COLOUR", SZ, "red")
    elif which == r"machine/C:\Ours":
        machine.registry.set(MACHINE_ENVIRONMENT, "Path", EXPAND_SZ, r"C:\Tools")
    elif which == r"HKLM\SOFTWARE\Ours\Number":
        machine.registry.set(r"HKLM\SOFTWARE\Ours", "Number", SZ, "7")
    elif which == "sleep":
        sleep = load("windows.power").SETTINGS["sleep"][1]
        load("windows.win32").run("powercfg.exe", ["/setacvalueindex", "x", "y", sleep, "60"])
    elif which == "Spooler":
        load("windows.win32").run("sc.exe", ["config", "Spooler", "start=", "auto"])
    elif which in ("door", "two ports"):
        words = ["set", "rule", f"name={which}", "new", f"enable={'no' if which == 'door' else 'yes'}"]
        load("windows.win32").run("netsh.exe", ["advfirewall", "firewall", *words])
    elif which == "VirtualMachinePlatform":
        machine.tools.features[which] = "Disabled"
    elif which == "nightly":
        load("windows.win32").run("schtasks.exe", ["/Change", "/TN", r"\llm-harness\nightly", "/DISABLE"])


def test_each_thing_broken_by_hand_is_named_alone_and_healed(there: Elsewhere) -> None:
    """`user/PLACE` and the entry that was there before us are of the same kinds as others."""
    there.has(*EVERYTHING)
    there.project.converge()
    for kind, name in IDENTITIES:
        if name in ("user/PLACE", r"machine/c:\tools"):
            continue
        broken(there, name)
        assert there.project.plan().said("planned") == [(kind, name)], name
        assert there.project.converge().said("changed") == [(kind, name)], name
    assert there.project.plan().said("planned") == []


def test_what_must_not_be_there_goes_and_comes_back(there: Elsewhere) -> None:
    machine = there.machine
    machine.registry.set(MACHINE_ENVIRONMENT, "OLLAMA_HOST", SZ, "0.0.0.0")
    machine.registry.set(r"HKLM\SOFTWARE\OpenSSH", "DefaultShell", SZ, r"C:\bash.exe")
    there.has(
        'variables = [Variable("OLLAMA_HOST", None), Variable("OLLAMA_MODELS", None)]',
        'registry_values = [RegistryValue("HKLM\\\\SOFTWARE\\\\OpenSSH\\\\DefaultShell")]',
    )
    planned = there.project.plan()
    reasons = {each["id"]: (each["why"], each["difference"]) for each in planned.report if "id" in each}
    assert reasons["machine/OLLAMA_HOST"] == ("must not be there", "-0.0.0.0\n+(none)")
    assert reasons["machine/OLLAMA_MODELS"] == ("as wanted, but not noted as ours", "")
    there.project.converge()
    assert there.verbs.count("confirm") == 1  # the shell governs the way in: kept over a fresh connection only
    assert machine.registry.get(MACHINE_ENVIRONMENT, "OLLAMA_HOST") is None
    assert machine.registry.get(r"HKLM\SOFTWARE\OpenSSH", "DefaultShell") is None
    there.verbs.clear()
    assert there.project.converge().said("changed") == []
    assert there.verbs == ["look"]
    there.has()
    there.project.converge()
    assert machine.registry.get(MACHINE_ENVIRONMENT, "OLLAMA_HOST") == (SZ, "0.0.0.0")
    assert machine.registry.get(r"HKLM\SOFTWARE\OpenSSH", "DefaultShell") == (SZ, r"C:\bash.exe")


def test_a_folder_that_was_there_before_us(there: Elsewhere) -> None:
    """Plan says what converge does: the owner's own is taken over, once; with a stranger's file in it, it is not."""
    drive = there.machine.drive
    there.has()
    there.project.wants("from deploys.operations import files", 'files.directory(name="x", path="C:\\\\litellm")')
    drive.owner_is_user = BERT
    drive.write(r"C:\litellm\app\compose.override.yaml", b"theirs")
    drive.owner_is_user = None
    planned, made = there.project.plan(), there.project.converge()
    assert planned.code != 0
    assert made.code != 0
    assert [each.split("could not ")[1] for each in planned.refusals + made.refusals] == [
        r"take over C:\litellm: C:\litellm belongs to Bert, who could have put anything there. Fix: see who made that; "
        r"move C:\litellm away, or have administrators own all of it, and converge again."
    ] * 2
    drive.wipe(r"C:\litellm")
    drive.make(r"C:\litellm", "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)")
    drive.write(r"C:\litellm\mine", b"mine")
    drive.descriptors[drive.key(r"C:\litellm\mine")] = security.parse("O:BAD:(A;;FA;;;BA)(A;;0x1301bf;;;BU)")
    there.project.wants("from deploys.operations import files", 'files.directory(name="x", path="C:\\\\litellm")')
    planned = there.project.plan()
    assert [each["why"] for each in planned.report if each.get("id") == r"C:\litellm"] == [
        "others than administrators may change what is in it"
    ]
    assert there.project.converge().said("changed") == [("directory", r"C:\litellm")]
    assert there.project.converge().said("changed") == []


FEATURE = 'features = [Feature("VirtualMachinePlatform")]'
AFTER = 'variables = [Variable("AFTER", "1")]'


def test_a_restart_is_waited_for_and_the_run_goes_on(there: Elsewhere) -> None:
    there.has(FEATURE, "reboot = Reboot(allowed=True, within_s=60)")
    there.project.wants(
        "from deploys.roles import system",
        "from deploys.operations import settings",
        "from deploys.schema import Variable",
        "system.apply()",
        'settings.variable(name="After it", variable=Variable("AFTER", "1"))',
    )
    boots = there.machine.boots
    run = there.project.converge()
    kinds = [("feature", "VirtualMachinePlatform"), ("reboot", "pending"), ("variable", "machine/AFTER")]
    assert run.said("changed") == kinds, run.output
    assert there.machine.boots == boots + 1
    assert there.machine.registry.get(MACHINE_ENVIRONMENT, "AFTER") == (SZ, "1")
    assert there.entry("reboot", "pending") == {}


def test_a_restart_that_is_not_allowed_is_told(there: Elsewhere) -> None:
    there.has(FEATURE, "reboot = Reboot()")
    boots = there.machine.boots
    run = there.project.converge()
    assert run.said("changed") == [("feature", "VirtualMachinePlatform")], run.output
    notes = [each["sentence"] for each in run.report if each["event"] == "note"]
    assert notes == [
        "a restart is pending for a feature or an update: restart it when it suits you, "
        "or allow it with `reboot` in group_data"
    ]
    assert there.machine.boots == boots


def test_a_machine_that_stays_away_ends_with_one_sentence(there: Elsewhere) -> None:
    there.has(FEATURE, AFTER, "reboot = Reboot(allowed=True, within_s=4)")
    there.machine.reboot = lambda **_: None  # type: ignore[method-assign]
    run = there.project.converge()
    assert run.code != 0
    assert run.refusals == [
        "@local: it did not come back within 4 s after a restart: see that it starts, then converge again"
    ]


def test_a_system_without_such_a_thing_says_so(tmp_path: Path) -> None:
    project = Project(tmp_path)
    data = tmp_path / "group_data" / "all.py"
    data.write_text(
        data.read_text() + "\nfrom deploys.schema import RegistryValue\n"
        'registry_values = [RegistryValue("HKLM\\\\SOFTWARE\\\\Ours\\\\Number", "dword", 7)]\n'
    )
    project.wants("from deploys.roles import system", "system.apply()")
    run = project.converge()
    assert run.code != 0
    assert len(run.refusals) == 1, run.output
    assert "this machine's system has no registry_value" in run.refusals[0]
    assert "Traceback" not in run.output
    assert project.starts[-1] == "look"  # nothing was begun


def test_what_docker_needs_stays_when_the_gateway_runs_without_it(there: Elsewhere) -> None:
    """Docker itself is never taken away, and others may have containers in it."""
    data = (
        "from deploys.schema import DockerDesktop",
        "from deploys.schema import Gateway, Secret",
        'docker = DockerDesktop("Anna", installers=(), features=(Feature("VirtualMachinePlatform"),))',
    )
    gateway = 'gateway = Gateway("x/y:v1@sha256:" + "0" * 64, Secret("KEY"), runtime="{}")'
    there.has(*data, gateway.format("docker"))
    there.project.wants("from deploys.roles import docker", "docker.ready()")
    assert there.project.converge().said("changed") == [("feature", "VirtualMachinePlatform")]
    there.has(*data, gateway.format("native"))
    there.project.wants("from deploys.roles import docker", "docker.ready()")
    assert there.project.plan().said("planned") == []
    there.verbs.clear()
    assert there.project.converge().said("changed") == []
    assert there.verbs == ["look"]
    assert there.machine.tools.features["VirtualMachinePlatform"] != "Disabled"
