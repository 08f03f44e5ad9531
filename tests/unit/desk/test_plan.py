"""plan: what it prints, and 0, 2 or 1."""

from __future__ import annotations

from .conftest import CONNECTED, NOTE, PLANNED, REFUSED, Checkout


def test_nothing_to_change_is_0(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, events=(NOTE,))
    ran = checkout.run("plan")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "g16   · it has no NVIDIA GPU",
        "apex: nothing to change; g16: nothing to change",
    ]


def test_changes_are_2_with_what_and_why(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, events=(PLANNED, NOTE))
    ran = checkout.run("plan")
    assert ran.code == 2
    assert ran.out.splitlines() == [
        "apex  ~ file /etc/x: content differs",
        "          -old",
        "          +new",
        "g16   · it has no NVIDIA GPU",
        "apex: 1 change; g16: nothing to change",
    ]


def test_a_refusal_is_1_and_the_other_machines_plan_is_shown(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, events=(PLANNED, REFUSED), exit=1)
    ran = checkout.run("plan")
    assert ran.code == 1
    assert "apex  ~ file /etc/x: content differs" in ran.out
    assert "g16   ! there is no zstd on it: install it" in ran.out
    assert "apex: 1 change; g16: could not look" in ran.out


def test_an_unreachable_machine_is_one_sentence(checkout: Checkout) -> None:
    lines = list(CONNECTED)
    lines[2] = "    [g16]  Could not connect ([Errno 111] Connection refused)"
    checkout.play(*lines, events=(PLANNED,), exit=1)
    ran = checkout.run("plan")
    assert ran.code == 1
    told = [line for line in ran.out.splitlines() if line.startswith("g16")]
    assert told == [
        "g16   ! cannot be reached (Connection refused): see that it is on and on the tailnet "
        "(`tailscale status`), then try again"
    ]
    assert "apex  ~ file" in ran.out


def test_bad_data_is_its_sentence_only(checkout: Checkout) -> None:
    sentence = "Model('gemma3:27b'): vram_gb = -1 must not be negative"
    checkout.play("--> Loading inventory...", f"--> pyinfra error in group_data/apex.py line 9: {sentence}", exit=1)
    ran = checkout.run("plan")
    assert (ran.code, ran.out, ran.err) == (1, "", f"{sentence}\n")


def test_a_failure_without_a_word_is_still_1(checkout: Checkout) -> None:
    checkout.play(*CONNECTED, exit=1)
    ran = checkout.run("plan")
    assert ran.code == 1
    assert "exit code 1" in ran.err


def test_it_never_changes_anything(checkout: Checkout) -> None:
    checkout.play(*CONNECTED)
    checkout.run("plan")
    arguments = checkout.calls()[0]["arguments"]
    assert "--dry" in arguments
    assert not {"-y", "--yes"} & set(arguments)
    assert arguments[-3:] == ["inventory.py", "deploys/apex.py", "deploys/g16.py"]
