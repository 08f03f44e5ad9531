"""What may be broken by hand: on whom, how, what the plan must name, and a word that verify must say."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .conftest import Machine

API = "http://127.0.0.1:11434"
LITELLM = "$(docker ps -q --filter label=com.docker.compose.project=litellm)"
ENVIRONMENT = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
POWER = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power"
EVERYBODY = "O:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;WD)"


class Tamper(NamedTuple):
    """Done to a machine; `planned` as the plan names it without the machine's name, `named` is what verify says."""

    machine: str
    do: str | Callable[[Machine], object]  # a shell script, or what to call
    planned: list[str]
    named: str


ON_G16 = {
    "the engine stopped": Tamper("g16", "systemctl stop ollama", ["service ollama"], "ollama"),
    "the engine no longer started at boot": Tamper("g16", "systemctl disable ollama", ["service ollama"], "ollama"),
    "the engine's unit edited": Tamper(
        "g16",
        "sed -i s/OLLAMA_NO_CLOUD=1/OLLAMA_NO_CLOUD=0/ /etc/systemd/system/ollama.service && systemctl daemon-reload",
        ["service ollama"],
        "ollama",
    ),
    "the engine's program damaged": Tamper(
        "g16",
        "for f in /opt/ollama/*/lib/ollama/llama-server; do echo '# edited' >> $f; done",
        ["release /opt/ollama", "service ollama"],
        "/opt/ollama",
    ),
    "a model removed": Tamper(
        "g16",
        f'curl -sf -X DELETE {API}/api/delete -d \'{{"model": "gemma4:e4b-it-qat"}}\'',
        ["model gemma4:e4b-it-qat"],
        "gemma4:e4b-it-qat",
    ),
    "the brain edited": Tamper(
        "g16", "echo '# edited' >> /usr/local/bin/brain", ["file /usr/local/bin/brain"], "/usr/local/bin/brain"
    ),
    "the brain's settings opened to others": Tamper(
        "g16", "chmod 644 /home/desk/.config/brain/settings", ["file /home/desk/.config/brain/settings"], "settings"
    ),
    "sshd's settings removed": Tamper(
        "g16",
        "rm /etc/ssh/sshd_config.d/10-llm-harness.conf && systemctl reload ssh",
        ["file /etc/ssh/sshd_config.d/10-llm-harness.conf"],
        "10-llm-harness.conf",
    ),
}

ON_LINUX = {
    "a configuration edited": Tamper(
        "apex",
        "echo '# edited' >> /opt/litellm/app/config.yaml",
        ["file /opt/litellm/app/config.yaml"],
        "/opt/litellm/app/config.yaml",
    ),
    "a secret file opened to others": Tamper(
        "apex", "chmod 644 /opt/litellm/gateway.env", ["file /opt/litellm/gateway.env"], "gateway.env"
    ),
    "the container removed": Tamper("apex", f"docker rm -f {LITELLM}", ["compose litellm"], "gateway"),
}


def _says(verb: str, **values: object) -> Callable[[Machine], object]:
    return lambda machine: machine.control(verb, **values)


def _edit(old: str, new: str) -> Callable[[Machine], object]:
    """In C:\\litellm\\app\\config.yaml, whose access stays."""

    def edit(machine: Machine) -> None:
        text = machine.sh_at("cat {}", "config") + "\n"
        assert old in text
        machine.control("write", path=machine.path("config"), text=text.replace(old, new))

    return edit


def _damage(machine: Machine) -> None:
    machine.sh_at('for f in {}/*/lib/ollama/llama-server.exe; do echo edited >> "$f"; done', "ollama")


def _off_the_path(machine: Machine) -> None:
    """As an installer does that writes the path back without what it does not know."""
    _, path = next(each for name, each in _variables(machine).items() if name.lower() == "path")
    kept = [each for each in str(path).split(";") if not each.startswith(r"C:\Program Files\Ollama")]
    assert len(kept) < len(str(path).split(";"))
    machine.control("set", key=ENVIRONMENT, name="Path", data=";".join(kept), type="expand")


def _variables(machine: Machine) -> dict[str, list[object]]:
    values: dict[str, list[object]] = machine.control("registry", key=ENVIRONMENT)["values"]
    return values


def _registry(key: str, name: str, data: object, type: str) -> Callable[[Machine], object]:
    return _says("set", key=key, name=name, data=data, type=type)


RELOADED = "model gemma3:27b-it-qat"  # kept in memory, and so loaded anew after each start of the engine
SHIPPED = "v2.33|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|Name=OpenSSH SSH Server (sshd)|"
CONFIG = r"C:\litellm\app\config.yaml"
STARTER = r"\llm-harness\start-containers"

ON_WINDOWS = {
    "content": Tamper("apex", _edit("drop_params: true", "drop_params: false"), [f"file {CONFIG}"], "config.yaml"),
    "line endings": Tamper("apex", _edit("\n", "\r\n"), [f"file {CONFIG}"], "config.yaml"),
    "access of a secret file": Tamper(
        "apex",
        _says("acl", path=r"C:\litellm\gateway.env", sddl=EVERYBODY),
        [r"file C:\litellm\gateway.env"],
        "gateway.env",
    ),
    "access of a directory": Tamper(
        "apex",
        _says("acl", path=r"C:\litellm\app", sddl="O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;BU)"),
        [r"directory C:\litellm\app"],
        r"C:\litellm\app",
    ),
    "a file deleted": Tamper("apex", _says("delete", path=CONFIG), [f"file {CONFIG}"], "config.yaml"),
    "an environment variable": Tamper(
        "apex", _registry(ENVIRONMENT, "OLLAMA_HOST", "0.0.0.0", "sz"), ["variable machine/OLLAMA_HOST"], "OLLAMA_HOST"
    ),
    "an entry of the path": Tamper("apex", _off_the_path, ["path_entry machine/C:\\Program Files\\Ollama"], "Ollama"),
    "a registry value": Tamper(
        "apex",
        _registry(POWER, "HiberbootEnabled", 1, "dword"),
        [rf"registry_value {POWER}\HiberbootEnabled"],
        "HiberbootEnabled",
    ),
    "a task's trigger": Tamper(
        "apex",
        _says(
            "task",
            name=STARTER,
            do="edit",
            find="<BootTrigger />",
            replace="<BootTrigger><Delay>PT1H</Delay></BootTrigger>",
        ),
        ["task start-containers"],
        "start-containers",
    ),
    "a task disabled": Tamper(
        "apex", _says("task", name=STARTER, do="disable"), ["task start-containers"], "start-containers"
    ),
    "a task deleted": Tamper(
        "apex", _says("task", name=STARTER, do="delete"), ["task start-containers"], "start-containers"
    ),
    "the engine's task disabled": Tamper(
        "apex", _says("task", name=r"\llm-harness\ollama", do="disable"), ["service ollama", RELOADED], "ollama"
    ),
    "the engine stopped": Tamper(
        "apex", _says("task", name=r"\llm-harness\ollama", do="end"), ["service ollama", RELOADED], "ollama"
    ),
    "a firewall rule deleted": Tamper(
        "apex",
        _says("rule", name="llm-harness gateway", do="delete"),
        ["firewall_rule llm-harness gateway"],
        "llm-harness gateway",
    ),
    "a firewall rule disabled": Tamper(
        "apex",
        _says("rule", name="llm-harness no ollama", do="disable"),
        ["firewall_rule llm-harness no ollama"],
        "llm-harness no ollama",
    ),
    "the way in opened to anybody": Tamper(
        "apex",
        _says("rule", name="OpenSSH SSH Server (sshd)", text=SHIPPED),
        ["firewall_rule OpenSSH SSH Server (sshd)"],
        "OpenSSH SSH Server (sshd)",
    ),
    "a service that no longer starts": Tamper(
        "apex", _says("service", name="Tailscale", start=3), ["windows_service Tailscale"], "Tailscale"
    ),
    "a service stopped": Tamper(
        "apex", _says("service", name="Tailscale", state="stopped"), ["windows_service Tailscale"], "Tailscale"
    ),
    "a model removed": Tamper(
        "apex",
        f'curl -sf -X DELETE {API}/api/delete -d \'{{"model": "gemma4:12b-it-qat"}}\'',
        ["model gemma4:12b-it-qat"],
        "gemma4:12b-it-qat",
    ),
    "the container removed": Tamper("apex", f"docker rm -f {LITELLM}", ["compose litellm"], "gateway"),
    "the engine's program damaged": Tamper(
        "apex",
        _damage,
        [r"release C:\Program Files\Ollama", "service ollama", RELOADED],
        r"C:\Program Files\Ollama",
    ),
    "sshd's settings deleted": Tamper(
        "apex",
        _says("delete", path=r"C:\ProgramData\ssh\sshd_config"),
        [r"file C:\ProgramData\ssh\sshd_config"],
        "sshd_config",
    ),
}
