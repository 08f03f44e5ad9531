"""What leaves the data leaves the machine; a stranger's things beside it stay."""

from __future__ import annotations

import json
from typing import Any

from .conftest import REPOSITORY, Desk, Machine

API = "http://127.0.0.1:11434"
MACHINE_KEY = r"HKLM\SYSTEM\CurrentControlSet"


def _models(machine: Machine) -> set[str]:
    return set(machine.sh(f"curl -sf {API}/api/tags | jq -r '.models[].name'").split())


def test_a_model_and_a_file_leave_and_a_strangers_stay(copy: Desk, apex: Machine, g16: Machine) -> None:
    g16.sh("echo mine > /usr/local/bin/stranger; echo mine > /home/desk/.config/brain/notes")
    apex.sh(f'curl -sf {API}/api/copy -d \'{{"source": "gemma3:27b-it-qat", "destination": "strangers:own"}}\'')
    copy.edit("deploys/g16.py", "        brain.install()\n", "")
    text = (copy.checkout / "group_data/apex.py").read_text()
    start = text.index('    Model(\n        "gemma4:12b-it-qat"')
    text = text[:start] + text[text.index("]", start) :]
    text = text.replace('    Lane("local-tools", ', '    Lane("local-tools", '.replace("gemma4:12b", "gemma3:27b"))
    text = text.replace("ollama_chat/gemma4:12b-it-qat", "ollama_chat/gemma3:27b-it-qat")
    (copy.checkout / "group_data/apex.py").write_text(text)

    plan = copy.run("plan")
    assert plan.code == 2
    assert set(plan.changes()) == {
        f"apex file {apex.path('config')}",
        "apex compose litellm",
        "apex model gemma4:12b-it-qat",
        "g16 file /usr/local/bin/brain",
        "g16 directory /home/desk/.config/brain",
        "g16 file /home/desk/.config/brain/settings",
    }
    assert copy.run("converge").code == 0
    assert _models(apex) == {"gemma3:27b-it-qat", "strangers:own"}
    assert g16.sh("ls /usr/local/bin") == "stranger"
    assert g16.sh("ls /home/desk/.config/brain") == "notes"
    assert copy.run("plan").code == 0
    apex.sh(f'curl -sf -X DELETE {API}/api/delete -d \'{{"model": "strangers:own"}}\'')
    g16.sh("rm /usr/local/bin/stranger /home/desk/.config/brain/notes")


def _neighbours(machine: Machine) -> str:
    """Everything of the owner's other stack, byte for byte, its process and start times included."""
    container = machine.sh("docker inspect -f '{{.Id}} {{.State.Pid}} {{.State.StartedAt}}' tp3")
    if machine.windows:
        return container + _neighbours_on_windows(machine)
    return container + machine.sh(
        "find /srv/tp3 -type f -printf '%p %m %T@ ' -exec sha256sum {} +;"
        "systemctl show tp3 -p MainPID -p ActiveEnterTimestampMonotonic; sha256sum /etc/systemd/system/tp3.service"
    )


def _neighbours_on_windows(machine: Machine) -> str:
    """Its files with their access, its tasks, rules and services, and everything in the registry that names it."""
    dump = machine.control("dump")
    theirs: dict[str, Any] = {
        "files": {path: each for path, each in dump["files"].items() if path.startswith(r"C:\TP3")}
    }
    theirs["tasks"] = {name: each for name, each in dump["tasks"].items() if name.startswith("\\TP3")}
    theirs["rules"] = {name: each for name, each in machine.control("firewall").items() if "TP3" in each}
    theirs["services"] = dump["services"]["TP3"]
    theirs["registry"] = machine.control("registry", key=r"HKLM\SOFTWARE\TP3")
    environment = machine.control("registry", key=rf"{MACHINE_KEY}\Control\Session Manager\Environment")["values"]
    theirs["variables"] = {name: each for name, each in environment.items() if "TP3" in name}
    assert all(theirs.values()), f"the neighbour is not there: {theirs}"
    return json.dumps(theirs, sort_keys=True)


def test_the_neighbours_stay_while_the_gateway_goes_and_comes(copy: Desk, apex: Machine, lab: dict[str, str]) -> None:
    unit = "[Service]\\nExecStart=/bin/sleep infinity\\n"
    apex.sh(f"docker run -d --name tp3 --entrypoint sleep {lab['image']} infinity")
    apex.sh(
        f"mkdir -p /srv/tp3; echo theirs > /srv/tp3/data; printf '{unit}' > /etc/systemd/system/tp3.service;"
        "systemctl start tp3"
    )
    before = _neighbours(apex)
    try:
        copy.edit("deploys/apex.py", "        gateway.serve()\n", "")
        assert copy.run("converge", "HOST=apex").code == 0
        assert apex.sh_at("test -e {} && echo there", "gateway", check=False) == ""
        assert apex.sh("docker ps --format '{{.Names}}'") == "tp3"
        assert ":4000 " not in apex.sh("ss -Hltn")
        assert Desk(REPOSITORY).run("converge", "HOST=apex").code == 0
        assert _neighbours(apex) == before
    finally:
        apex.sh("docker rm -f tp3; systemctl stop tp3; rm -r /srv/tp3 /etc/systemd/system/tp3.service")
