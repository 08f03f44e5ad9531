"""What somebody may do to a converged Windows machine by hand, each with exactly the checks that must be red then."""

from __future__ import annotations

from collections.abc import Callable

from tests.windows.standin.machine import SSH_HOME
from tests.windows.standin.registry import DWORD, EXPAND_SZ, MACHINE_ENVIRONMENT, SERVICES, SZ

from .windowsbox import GATEWAY, HOME, LAN_ADDRESS, SECRET, UNINSTALL, Box

Break = Callable[[Box], object]


def _later(pattern: str, other: str) -> Callable[[str], str]:
    return lambda text: text.replace(pattern, other)


def _exec(argument: str) -> str:
    return rf"<Exec><Command>C:\work\forever.exe</Command><Arguments>{argument}</Arguments></Exec>"


_RESTART = "<RestartOnFailure><Interval>PT1M</Interval><Count>3</Count></RestartOnFailure>"
_KEY = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power"
_RULE = "test_thing_is_as_declared[firewall_rules-llm-harness gateway]"
HOLD = rf"{HOME}\services\ollama\hold.json"
POWER = "29f6c1db-86da-48c5-9fdb-f2b67b1f44da"
THING = "test_thing_is_as_declared"
DEFINED = "test_service_is_defined_so_and_not_edited[ollama]"
FILES = "test_file_is_there_for_whom_it_may"

# {what was done by hand: (how, exactly the checks that are red)}
BROKEN: dict[str, tuple[Break, set[str]]] = {
    # files
    "content": (
        lambda box: box.edit(rf"{GATEWAY}\app\guard.py", "guard", "other"),
        {"test_managed_files_are_as_they_were_put"},
    ),
    "line endings": (
        lambda box: box.edit(rf"{GATEWAY}\compose.yaml", "\n", "\r\n"),
        {"test_managed_files_are_as_they_were_put"},
    ),
    "file gone": (
        lambda box: box.machine.drive.real(rf"{GATEWAY}\app\keys.py").unlink(),
        {"test_managed_files_are_as_they_were_put", rf"{FILES}[{GATEWAY}\app\keys.py]"},
    ),
    "access of the keys": (
        lambda box: box.grant(rf"{GATEWAY}\gateway.env", "/grant", "*S-1-5-32-545:(R)"),
        {rf"{FILES}[{GATEWAY}\gateway.env]"},
    ),
    "access of a directory, for what comes in it": (
        lambda box: box.grant(GATEWAY, "/grant", "*S-1-5-11:(OI)(CI)(IO)(M)"),
        {rf"{FILES}[{GATEWAY}]"},
    ),
    "order that others may write": (
        lambda box: box.grant(HOLD, "/grant", "*S-1-5-11:(M)"),
        {rf"{FILES}[{HOLD}]"},
    ),
    "folder of sshd's that others may put something in": (
        lambda box: box.grant(SSH_HOME, "/grant", "*S-1-5-32-545:(CI)(W)"),
        {"test_only_administrators_change_what_the_agents_home_lies_in"},
    ),
    "keys that inherit": (
        lambda box: box.machine.drive.born(rf"{GATEWAY}\gateway.env"),
        {rf"{FILES}[{GATEWAY}\gateway.env]"},
    ),
    "release changed": (
        lambda box: box.machine.drive.write(r"C:\Program Files\Ollama\0.40.2\lib\x.dll", b"MZ other"),
        {"test_release_is_as_it_was_unpacked"},
    ),
    "release with one more": (
        lambda box: box.machine.drive.write(r"C:\Program Files\Ollama\0.40.2\new.dll", b"MZ"),
        {"test_release_is_as_it_was_unpacked"},
    ),
    "provenance gone": (
        lambda box: box.machine.drive.real(rf"{HOME}\provenance.json").unlink(),
        {"test_provenance_is_told"},
    ),
    # secrets
    "secret in an open file": (
        lambda box: box.machine.drive.write(rf"{GATEWAY}\app\notes.txt", f"it is {SECRET}"),
        {"test_secret_is_in_no_readable_file[PLANTED]"},
    ),
    "open file that nobody else may read": (
        lambda box: box.grant(rf"{GATEWAY}\app\config.yaml", "/remove:g", "*S-1-5-32-545"),
        {"test_open_files_were_searched", rf"{FILES}[{GATEWAY}\app\config.yaml]"},
    ),
    "secret in the engine's log": (
        lambda box: box.machine.drive.write(rf"{HOME}\services\ollama\log\old.log", f"it is {SECRET}"),
        {"test_secret_is_in_no_readable_file[PLANTED]"},
    ),
    "secret in the environment": (
        lambda box: box.set(MACHINE_ENVIRONMENT, "NOTE", SZ, SECRET),
        {"test_secret_is_not_on_display[PLANTED]"},
    ),
    "secret in a task": (
        lambda box: box.task("starter", lambda text: text.replace("</Actions>", _exec(SECRET) + "</Actions>")),
        {"test_secret_is_not_on_display[PLANTED]", f"{THING}[tasks-starter]"},
    ),
    # the service: its task, its order, its holder, its process
    "trigger": (
        lambda box: box.task("ollama", lambda text: text.replace("BootTrigger", "LogonTrigger")),
        {DEFINED},
    ),
    "trigger off": (
        lambda box: box.task("ollama", _later("<BootTrigger><Enabled>true", "<BootTrigger><Enabled>false")),
        {DEFINED},
    ),
    "limit": (
        lambda box: box.task("ollama", _later("<ExecutionTimeLimit>PT0S", "<ExecutionTimeLimit>PT72H")),
        {DEFINED},
    ),
    "restart on failure": (
        lambda box: box.task("ollama", _later("</Settings>", _RESTART + "</Settings>")),
        {DEFINED},
    ),
    "account of the task": (
        lambda box: box.task("ollama", _later("S-1-5-19", "S-1-5-18")),
        {DEFINED},
    ),
    "program of the task": (lambda box: box.task("ollama", _later("python.exe", "other.exe")), {DEFINED}),
    "task off": (
        lambda box: box.task("ollama", _later("<Enabled>true</Enabled><Hidden>", "<Enabled>false</Enabled><Hidden>")),
        {DEFINED, "test_service_runs_and_starts_with_the_machine[ollama]"},
    ),
    "task gone": (
        lambda box: box.machine.scheduler.delete(box.machine.scheduler.tasks[r"\llm-harness\ollama"]),
        {
            DEFINED,
            "test_service_runs_and_starts_with_the_machine[ollama]",
            "test_port_belongs_to_the_service[ollama]",
        },
    ),
    "variable of the order": (lambda box: box.edit(HOLD, '"-1"', '"5m"'), {DEFINED}),
    "variable more in the order": (
        lambda box: box.edit(HOLD, '"environment": {', '"environment": {"OLLAMA_DEBUG": "1", '),
        {DEFINED},
    ),
    "command of the order": (lambda box: box.edit(HOLD, '"serve"', '"run"'), {DEFINED}),
    "order that is none": (
        lambda box: box.machine.drive.write(HOLD, '{"command": 3, "environment": [], "again": null}'),
        {DEFINED},
    ),
    "manifest that is none": (
        lambda box: box.machine.drive.write(rf"{HOME}\managed.json", '{"a": 1}'),
        {"test_managed_files_are_as_they_were_put"},
    ),
    "provenance that is none": (
        lambda box: box.machine.drive.write(rf"{HOME}\provenance.json", '["me"]'),
        {"test_provenance_is_told"},
    ),
    "another holder": (
        lambda box: box.machine.drive.write(rf"{HOME}\services\ollama\holder.pyz", b"PK other"),
        {DEFINED},
    ),
    "service stopped": (
        lambda box: box.stop(),
        {
            "test_service_runs_and_starts_with_the_machine[ollama]",
            "test_port_belongs_to_the_service[ollama]",
            "test_service_has_its_variables[ollama]",
            "test_service_is_unprivileged[ollama]",
            "test_ollama_listens_on_loopback_only",
        },
    ),
    "engine of a user's": (
        lambda box: box.engine_of(box.machine.user_sids),
        {"test_port_belongs_to_the_service[ollama]", "test_service_is_unprivileged[ollama]"},
    ),
    "engine as SYSTEM": (
        lambda box: box.engine_of(box.machine.token("S-1-5-18")),
        {"test_port_belongs_to_the_service[ollama]", "test_service_is_unprivileged[ollama]"},
    ),
    "another program at the port": (
        lambda box: box.engine_of(box.machine.token("S-1-5-19"), r"C:\other\llama.exe"),
        {"test_port_belongs_to_the_service[ollama]", "test_ollama_runs_the_program_that_is_there"},
    ),
    # sockets
    "engine on all addresses": (
        lambda box: box.listen("0.0.0.0", box.site.server_port, box.engine.pid),
        {
            "test_ollama_listens_on_loopback_only",
            "test_nothing_of_ours_listens_beyond",
            "test_port_listens_nowhere_else[{engine}]",
        },
    ),
    "engine on another port": (
        lambda box: box.listen("::", 5999, box.engine.pid),
        {"test_nothing_of_ours_listens_beyond"},
    ),
    "gateway on the LAN": (
        lambda box: box.listen(LAN_ADDRESS, box.door.server_port, box.backend.pid),
        {"test_gateway_listens_where_it_should", "test_port_listens_nowhere_else[{door}]"},
    ),
    # the engine and the gateway, asked
    "engine's version": (
        lambda box: box.site.pages.update({"/api/version": (200, {"version": "0.39.0"})}),
        {"test_ollama_serves_the_declared_version"},
    ),
    "model gone": (
        lambda box: box.site.pages.update({"/api/tags": (200, {"models": []})}),
        {"test_model_is_held_at_its_digest[gemma3:4b]"},
    ),
    "models that are no list": (
        lambda box: box.site.pages.update({"/api/tags": (200, "Welcome")}),
        {"test_model_is_held_at_its_digest[gemma3:4b]", "test_no_undeclared_model_of_ours_is_left"},
    ),
    "engine that is another server": (
        lambda box: box.site.pages.update({"/api/version": (200, "Welcome")}),
        {"test_ollama_serves_the_declared_version"},
    ),
    "gateway that tells no deployments": (
        lambda box: box.door.pages.update({"/model/info": (200, {"data": None})}),
        {"test_loaded_models_are_the_declared_ones"},
    ),
    "model not in memory": (
        lambda box: box.site.pages.update({"/api/ps": (200, {"models": []})}),
        {"test_resident_model_is_in_memory[gemma3:4b]", "test_resident_model_is_wholly_on_the_card[gemma3:4b]"},
    ),
    "gateway sick": (
        lambda box: box.door.pages.update({"/health/liveliness": (503, {})}),
        {"test_gateway_is_healthy"},
    ),
    "gateway that is LiteLLM of another day": (
        lambda box: box.door.pages.update({"/health/readiness/details": (200, {"litellm_version": "1.82.7"})}),
        {"test_server_is_litellm_at_the_pinned_version"},
    ),
    "gateway that lets anybody in": (
        lambda box: setattr(box.door, "free", True),
        {"test_nobody_gets_in_without_the_key"},
    ),
    "gateway with an old configuration in memory": (
        lambda box: box.door.pages.update({"/v1/models": (200, {"data": [{"id": "local"}]})}),
        {"test_loaded_models_are_the_declared_ones"},
    ),
    "configuration edited": (
        lambda box: box.edit(
            rf"{GATEWAY}\app\config.yaml", "router_settings: {num_retries: 0", "router_settings: {x: 0"
        ),
        {"test_failures_are_not_retried", "test_managed_files_are_as_they_were_put"},
    ),
    "configuration gone": (
        lambda box: box.machine.drive.real(rf"{GATEWAY}\app\config.yaml").unlink(),
        {
            "test_config_is_one",
            "test_managed_files_are_as_they_were_put",
            rf"{FILES}[{GATEWAY}\app\config.yaml]",
        },
    ),
    "container stopped": (
        lambda box: box.container["State"].update(Running=False),
        {"test_container_runs_the_pinned_image"},
    ),
    "container of another image": (
        lambda box: box.image.update(RepoDigests=["x@sha256:0"]),
        {"test_container_runs_the_pinned_image"},
    ),
    "container of somebody else": (
        lambda box: box.container.update(Mounts=[{"Source": r"C:\litellm-other\app"}]),
        {"test_container_runs_the_pinned_image"},
    ),
    # the way in
    "tailnet attended": (
        lambda box: box.prefs.update(ForceDaemon=False),
        {"test_tailscale_needs_nobody_logged_on"},
    ),
    "tailnet stopped": (lambda box: box.status.update(BackendState="Stopped"), {"test_tailscale_runs"}),
    "tailnet old": (lambda box: box.status.update(Version="1.80.0-t1"), {"test_tailscale_is_new_enough"}),
    "tailnet without its address": (
        lambda box: box.addresses.pop("100.64.0.7"),
        {"test_machine_has_its_tailnet_address"},
    ),
    # things of the system's own
    "variable": (
        lambda box: box.set(MACHINE_ENVIRONMENT, "DOCKER_HOST", SZ, "tcp://0.0.0.0:2375"),
        {f"{THING}[variables-machine-DOCKER_HOST]"},
    ),
    "path entry": (
        lambda box: box.set(MACHINE_ENVIRONMENT, "Path", EXPAND_SZ, r"%SystemRoot%\system32;C:\ToolsX"),
        {rf"{THING}[path_entries-machine-C:\Tools]"},
    ),
    "path that nobody expands": (
        lambda box: box.set(MACHINE_ENVIRONMENT, "Path", SZ, r"%SystemRoot%\system32;C:\Windows\System32;C:\Tools"),
        {rf"{THING}[path_entries-machine-C:\Tools]"},
    ),
    "registry value": (
        lambda box: box.set(_KEY, "HiberbootEnabled", DWORD, 1),
        {rf"{THING}[registry_values-{_KEY}\HiberbootEnabled]"},
    ),
    "registry value of another type": (
        lambda box: box.set(_KEY, "HiberbootEnabled", SZ, "0"),
        {rf"{THING}[registry_values-{_KEY}\HiberbootEnabled]"},
    ),
    "rule off": (lambda box: box.rule("Active=TRUE", "Active=FALSE"), {_RULE}),
    "rule for everybody": (lambda box: box.rule("RA4=100.64.0.0/255.192.0.0|", ""), {_RULE}),
    "rule for one profile": (lambda box: box.rule("|LPort", "|Profile=Domain|LPort"), {_RULE}),
    "rule twice": (lambda box: box.machine.firewall.put("{X}", "v2.31|Name=LLM-harness gateway|"), {_RULE}),
    "rule blocked by another": (
        lambda box: box.machine.firewall.put("{X}", "v2.31|Action=Block|Active=TRUE|Dir=In|LPort=4000|Name=no|"),
        {_RULE},
    ),
    "service of Windows disabled": (
        lambda box: box.set(rf"{SERVICES}\sshd", "Start", DWORD, 4),
        {f"{THING}[system_services-sshd]"},
    ),
    "service of Windows delayed": (
        lambda box: box.set(rf"{SERVICES}\sshd", "DelayedAutostart", DWORD, 1),
        {f"{THING}[system_services-sshd]"},
    ),
    "feature": (
        lambda box: box.machine.tools.features.update(VirtualMachinePlatform="Enable Pending"),
        {f"{THING}[features-VirtualMachinePlatform]"},
    ),
    "power": (lambda box: box.machine.tools.power.update({POWER: [600, 900]}), {f"{THING}[power-sleep]"}),
    "program gone": (
        lambda box: box.machine.registry.delete_key(rf"{UNINSTALL}\Docker Desktop"),
        {f"{THING}[installers-Docker Desktop]"},
    ),
    "program old": (
        lambda box: box.set(rf"{UNINSTALL}\Docker Desktop", "DisplayVersion", SZ, "4.9.0"),
        {f"{THING}[installers-Docker Desktop]"},
    ),
    "task's delay": (lambda box: box.task("starter", _later("PT30S", "PT31S")), {f"{THING}[tasks-starter]"}),
    "task of ours gone": (
        lambda box: box.machine.scheduler.delete(box.machine.scheduler.tasks[r"\llm-harness\starter"]),
        {f"{THING}[tasks-starter]"},
    ),
    "task's variable": (
        lambda box: box.edit(rf"{HOME}\tasks\starter\hold.json", '"blue"', '"red"'),
        {f"{THING}[tasks-starter]"},
    ),
}


# These change what the others look at: each is broken alone.
ALONE = {
    *("task gone", "service stopped", "engine of a user's", "engine as SYSTEM", "another program at the port"),
    *("configuration gone", "container stopped", "gateway that lets anybody in"),
}


def rounds() -> list[list[str]]:
    """The names of BROKEN in as few lists as go together: no check is red for two of one list."""
    found: list[list[str]] = []
    for name, (_, wanted) in BROKEN.items():
        fitting = next((each for each in found if name not in ALONE and _free(each, wanted)), None)
        if fitting is None:
            found.append([name])
        else:
            fitting.append(name)
    return found


def _free(names: list[str], wanted: set[str]) -> bool:
    return not ALONE & set(names) and not any(BROKEN[each][1] & wanted for each in names)
