"""One edited template: the plan names exactly that file, converge changes exactly that, only the gateway restarts."""

from __future__ import annotations

from .conftest import HARMLESS, Desk, Machine

RESTART = "apex compose litellm"


def _door(machine: Machine) -> str:
    return machine.sh(
        "docker inspect -f '{{.State.StartedAt}}' $(docker ps -q --filter label=com.docker.compose.project=litellm)"
    )


def test_one_value_of_a_template(copy: Desk, apex: Machine, g16: Machine) -> None:
    copy.edit(*HARMLESS)

    plan = copy.run("plan")
    assert plan.code == 2
    assert plan.changes() == [f"apex file {apex.path('config')}", RESTART], (
        "the file, and the restart that follows from it"
    )
    assert "+  json_logs: true" in plan.out

    before = apex.engine(), g16.engine(), _door(apex)
    converged = copy.run("converge")
    assert converged.code == 0
    assert "apex: 2 changed" in converged.out
    assert converged.unchanged("g16")
    assert apex.engine() == before[0]
    assert g16.engine() == before[1]
    assert _door(apex) != before[2]
    assert copy.run("plan").code == 0


def test_a_secret_file_shows_names_and_no_values(copy: Desk, apex: Machine) -> None:
    copy.edit(
        "group_data/apex.py",
        "    port=4000,\n",
        '    port=4000,\n    environment={"LITELLM_EXTRA": "planted-value-42"},\n',
    )
    plan = copy.run("plan")
    assert plan.code == 2
    assert plan.changes() == [f"apex file {apex.path('keys')}", RESTART]
    assert "+LITELLM_EXTRA=••••" in plan.out
    assert "planted-value-42" not in plan.out
