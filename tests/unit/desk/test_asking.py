"""What may be asked of the desk: HOST=, LAB=1, and what is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.desk.__main__ import wish_of
from scripts.desk.desk import Trouble

from .conftest import CONNECTED, PLANNED, Checkout


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("", ()),
        ("apex", ("apex",)),
        ("apex,g16", ("apex", "g16")),
        ("apex g16", ("apex", "g16")),
        (", g16 ,", ("g16",)),
    ],
)
def test_several_machines_by_blank_or_comma(given: str, hosts: tuple[str, ...]) -> None:
    assert wish_of([f"HOST={given}"], {}).hosts == hosts
    assert wish_of([], {"DESK_HOST": given}).hosts == hosts


def test_a_host_that_some_shell_exports_means_nothing() -> None:
    assert wish_of([], {"HOST": "my-laptop"}).hosts == ()


@pytest.mark.parametrize(("given", "lab"), [("1", True), ("0", False), ("", False)])
def test_lab(given: str, lab: bool) -> None:
    assert wish_of([], {"LAB": given}).lab is lab


def test_nonsense_is_refused() -> None:
    with pytest.raises(Trouble, match="'HOSTS=apex' says nothing to me"):
        wish_of(["HOSTS=apex"], {})


def test_chosen_machines_become_limits(checkout: Checkout) -> None:
    checkout.play(*CONNECTED)
    assert checkout.run("plan", "HOST=g16,apex,g16").code == 0
    arguments = checkout.calls()[-1]["arguments"]
    assert [arguments[number + 1] for number, each in enumerate(arguments) if each == "--limit"] == ["g16", "apex"]


@pytest.mark.parametrize("command", ["plan", "converge", "verify", "status", "ssh", "rebuild"])
def test_an_unknown_machine_is_refused_naming_the_known(checkout: Checkout, command: str) -> None:
    checkout.play()
    ran = checkout.run(command, "HOST=apx")
    assert ran.code == 1
    assert ran.err == "there is no machine 'apx' in the inventory: it knows apex, g16\n"


@pytest.mark.parametrize("command", ["ssh", "rebuild"])
def test_one_machine_must_be_named(checkout: Checkout, command: str) -> None:
    checkout.play()
    ran = checkout.run(command)
    assert ran.code == 1
    assert "apex, g16" in ran.err


@pytest.mark.parametrize("command", ["plan", "converge", "verify", "status", "ssh"])
def test_no_lab_is_one_sentence(checkout: Checkout, command: str) -> None:
    checkout.play()
    ran = checkout.run(command, "LAB=1")
    assert (ran.code, ran.out, ran.err) == (1, "", "the lab is not running: start it with `make lab`\n")


def test_no_virtualenv_is_one_sentence(checkout: Checkout) -> None:
    ran = checkout.run("plan")
    assert ran.code == 1
    assert "run `make setup`" in ran.err


def test_no_inventory_is_one_sentence(checkout: Checkout) -> None:
    checkout.play()
    (checkout.root / "inventory.py").unlink()
    ran = checkout.run("plan")
    assert ran.code == 1
    assert "there is no inventory.py" in ran.err


@pytest.mark.parametrize(("events", "exit", "code"), [((), 0, 0), ((PLANNED,), 0, 2), ((), 1, 1)])
def test_make_ends_with_the_same_code(
    checkout: Checkout, events: tuple[dict[str, str], ...], exit: int, code: int
) -> None:
    checkout.play(*CONNECTED, events=events, exit=exit)
    assert checkout.run("plan", program=("make",)).code == code


def test_make_dry_runs_nothing(checkout: Checkout) -> None:
    checkout.play(*CONNECTED)
    checkout.run("-n", "converge", program=("make",))
    assert not (checkout.root / ".venv/bin/calls").exists()


def test_make_stops_at_the_first_that_fails(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, exit=1)
    assert checkout.run("converge", "plan", program=("make",)).code == 2
    assert len(checkout.calls()) == 1


def test_make_passes_a_command_as_it_stands(checkout: Checkout, tmp_path: Path) -> None:
    checkout.play()
    ssh = checkout.write("bin/ssh", '#!/bin/sh\nfor each; do last=$each; done; printf %s "$last"; exit 1\n')
    ssh.chmod(0o755)
    said = """echo "$HOME" 'two  blanks' | cat"""
    path = f"{ssh.parent}:{checkout.environment['PATH']}"
    ran = checkout.run("ssh", "HOST=g16", f"CMD={said}", program=("env", f"PATH={path}", "make"))
    assert (ran.out, ran.code) == (said, 1)


def test_make_ignores_an_exported_host(checkout: Checkout) -> None:
    checkout.play(*CONNECTED)
    assert checkout.run("plan", program=("env", "HOST=my-laptop", "make")).code == 0


def test_the_persons_keys_stay_out_of_the_lab(checkout: Checkout) -> None:
    """Only the lab's file speaks to the lab's machines, whatever is exported."""
    home = checkout.state / "llm-harness" / "lab"
    home.mkdir(parents=True)
    (home / "lab.json").write_text(json.dumps({"ssh_config": "/nowhere"}))
    (home / "secrets.env").write_text("GROQ_API_KEY=sk-lab\n")
    checkout.write("tests/lab/inventory.py", "apex = ['apex']\n")
    player = checkout.write(".venv/bin/pyinfra", "#!/bin/sh\nenv >&2\n")
    player.chmod(0o755)
    exported = ("env", "GROQ_API_KEY=sk-real", "SECRETS_COMMAND=pass show", "python3", "-m", "scripts.desk")
    ran = checkout.run("plan", "LAB=1", "-v", program=exported)
    assert ran.code == 0
    assert "sk-real" not in ran.out
    assert "SECRETS_COMMAND" not in ran.out
    assert f"SECRETS_FILE={home}/secrets.env" in ran.out
