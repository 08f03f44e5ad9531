"""A wrong configuration never reaches the gateway; one that makes it sick is put back, and the old one answers."""

from __future__ import annotations

from .conftest import Desk, Machine


def _sum(machine: Machine) -> str:
    return machine.sh_at("sha256sum {}", "config")


def _started(machine: Machine) -> str:
    return machine.sh(
        "docker inspect -f '{{.State.StartedAt}}' $(docker ps -q --filter label=com.docker.compose.project=litellm)"
    )


def _answers(machine: Machine) -> bool:
    address = machine.sh("tailscale ip -4")
    return machine.sh(f"curl -s -o /dev/null -w '%{{http_code}}' http://{address}:4000/health/liveliness") == "200"


def test_a_wrong_template_is_refused_before_the_machine_is_touched(copy: Desk, apex: Machine) -> None:
    before = _sum(apex), _started(apex)
    copy.edit("templates/gateway/config.yaml.j2", "drop_params: true", "drop_parms: true")
    ran = copy.run("converge")
    assert ran.code == 1
    assert "drop_parms" in ran.out
    assert "Traceback" not in ran.out
    assert ran.unchanged("g16"), "the other machine goes on"
    assert (_sum(apex), _started(apex)) == before


def test_a_sick_gateway_is_put_back(copy: Desk, apex: Machine) -> None:
    """A guard that cannot be loaded: no validator of ours reads Python, so only the start shows it."""
    before = apex.sh_at("sha256sum {}", "guard")
    (copy.checkout / "scripts/gateway/guard.py").write_text("raise RuntimeError('planted: the guard cannot load')\n")
    ran = copy.run("converge", "HOST=apex")
    assert ran.code == 1
    assert "put back" in ran.out
    assert "answers again" in ran.out
    assert apex.sh_at("sha256sum {}", "guard") == before
    assert _answers(apex)
