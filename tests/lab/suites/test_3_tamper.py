"""Each managed thing broken alone by hand: verify goes red naming it, plan names it, converge heals it alone."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from .conftest import Desk, Machine


class Tamper(NamedTuple):
    """What is done to which machine, and what must be named: the resource in the plan, a word in verify."""

    machine: str
    script: str
    planned: list[str]
    named: str


CONFIG = "/opt/litellm/app/config.yaml"
API = "http://127.0.0.1:11434"

TAMPERS = {
    "a configuration edited": Tamper("apex", f"echo '# edited' >> {CONFIG}", [f"apex file {CONFIG}"], CONFIG),
    "a secret file opened to others": Tamper(
        "apex", "chmod 644 /opt/litellm/gateway.env", ["apex file /opt/litellm/gateway.env"], "gateway.env"
    ),
    "the engine stopped": Tamper("g16", "systemctl stop ollama", ["g16 service ollama"], "ollama"),
    "the engine no longer started at boot": Tamper("g16", "systemctl disable ollama", ["g16 service ollama"], "ollama"),
    "the engine's unit edited": Tamper(
        "g16",
        "sed -i s/OLLAMA_NO_CLOUD=1/OLLAMA_NO_CLOUD=0/ /etc/systemd/system/ollama.service && systemctl daemon-reload",
        ["g16 service ollama"],
        "ollama",
    ),
    "the engine's program damaged": Tamper(
        "g16",
        "for f in /opt/ollama/*/lib/ollama/llama-server; do echo '# edited' >> $f; done",
        ["g16 release /opt/ollama", "g16 service ollama"],
        "/opt/ollama",
    ),
    "a model removed": Tamper(
        "g16",
        f'curl -sf -X DELETE {API}/api/delete -d \'{{"model": "gemma4:e4b-it-qat"}}\'',
        ["g16 model gemma4:e4b-it-qat"],
        "gemma4:e4b-it-qat",
    ),
    "the container removed": Tamper(
        "apex",
        "docker rm -f $(docker ps -q --filter label=com.docker.compose.project=litellm)",
        ["apex compose litellm"],
        "gateway",
    ),
    "the brain edited": Tamper(
        "g16", "echo '# edited' >> /usr/local/bin/brain", ["g16 file /usr/local/bin/brain"], "/usr/local/bin/brain"
    ),
    "the brain's settings opened to others": Tamper(
        "g16",
        "chmod 644 /home/desk/.config/brain/settings",
        ["g16 file /home/desk/.config/brain/settings"],
        "settings",
    ),
    "sshd's settings removed": Tamper(
        "g16",
        "rm /etc/ssh/sshd_config.d/10-llm-harness.conf && systemctl reload ssh",
        ["g16 file /etc/ssh/sshd_config.d/10-llm-harness.conf"],
        "10-llm-harness.conf",
    ),
}


@pytest.mark.parametrize("what", TAMPERS)
def test_it_is_seen_named_and_healed_alone(what: str, desk: Desk, machines: dict[str, Machine]) -> None:
    tamper = TAMPERS[what]
    machines[tamper.machine].sh(tamper.script)

    verify = desk.run("verify", f"HOST={tamper.machine}")
    assert verify.code == 1, "verify did not see it"
    assert tamper.named in verify.out

    plan = desk.run("plan")
    assert plan.code == 2
    assert plan.changes() == tamper.planned

    healed = desk.run("converge")
    assert healed.code == 0
    assert f"{tamper.machine}: {len(tamper.planned)} changed" in healed.out
    other = "g16" if tamper.machine == "apex" else "apex"
    assert f"{other}: 0 changed" in healed.out
    assert desk.run("plan").code == 0
    assert desk.run("verify", f"HOST={tamper.machine}").code == 0
