"""The gateway without a container: made from a hash-locked list, answering, healed, put back, back after a reboot.

One checkout says `runtime="native"` for the whole file; the last test is the way back.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from .conftest import REPOSITORY, Desk, Machine

DATA = "group_data/apex.py"
CONTAINERS = "docker ps -aq --filter label=com.docker.compose.project=litellm"
BRAIN = "su desk -c 'brain --private hello'"
TASK = r"\llm-harness\litellm"
SYSTEM_PROCESS = 4  # the first of each start


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A checkout whose data wants no container, converged once. Afterwards the lab is as it was."""
    checkout = tmp_path_factory.mktemp("native") / "checkout"
    ignored = shutil.ignore_patterns(".venv", ".git", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
    shutil.copytree(REPOSITORY, checkout, ignore=ignored)
    (checkout / ".venv").symlink_to(REPOSITORY / ".venv")
    desk = Desk(checkout)
    desk.edit(DATA, "    port=4000,\n", '    port=4000,\n    runtime="native",\n    healthy_within_s=120,\n')
    assert desk.run("converge").code == 0
    yield desk
    whole = Desk(REPOSITORY)
    assert whole.run("plan").code == 0 or whole.run("converge").code == 0


def _listeners(apex: Machine) -> list[str]:
    """Who listens on the gateway's port: one line each."""
    return apex.sh("ss -Htlnp 'sport = :4000'").splitlines()


def _main_process(apex: Machine) -> str:
    """Linux: the number of the gateway's process."""
    return apex.sh("systemctl show -p MainPID --value litellm")


def _environment(apex: Machine) -> str:
    """The virtual environment that the gateway runs from now, in the machine's own words."""
    if apex.windows:
        running = (each for each in apex.control("processes") if apex.path("app") + r"\native.py" in each["arguments"])
        return str(next(running)["image"]).removesuffix(r"\Scripts\python.exe")
    used = apex.sh(f"tr '\\0' '\\n' < /proc/{_main_process(apex)}/cmdline | head -1")
    return used.removesuffix("/bin/python")


def _answers_by_itself(g16: Machine, within_s: float) -> str:
    """Apex's answer, when it comes within that time; until then G16 answers itself."""
    deadline, answer = time.monotonic() + within_s, ""
    while "Apex" not in answer and time.monotonic() < deadline:
        answer = g16.sh(BRAIN, check=False)
        time.sleep(1)
    return answer


def _began(apex: Machine) -> int:
    """When a Windows machine started; 0 while it does not run."""
    with suppress(AssertionError):
        return next(int(each["created"]) for each in apex.control("processes") if each["pid"] == SYSTEM_PROCESS)
    return 0


def _restart(apex: Machine) -> None:
    """As after an update in the night: nobody logs on."""
    if not apex.windows:
        subprocess.run(["docker", "restart", apex.container], check=True, capture_output=True)
        return
    apex.control("person", there=False)
    before, deadline = _began(apex), time.monotonic() + 60
    apex.control("reboot")
    while _began(apex) in (0, before):
        assert time.monotonic() < deadline, "it did not start again"
        time.sleep(0.2)


def test_it_answers_without_a_container(native: Desk, apex: Machine, g16: Machine) -> None:
    assert native.run("plan").code == 0
    assert apex.sh(CONTAINERS) == ""
    assert apex.sh_at("ls {}", "app") == "config.yaml\nguard.py\nkeys.py\nnative.py"
    (listener,) = _listeners(apex)
    assert apex.windows or f"pid={_main_process(apex)}," in listener
    assert listener.split()[3] == f"{apex.sh('tailscale ip -4')}:4000"
    assert "Apex" in g16.sh(BRAIN)
    verify = native.run("verify")
    assert verify.code == 0, verify.out


def test_its_account_reads_its_secrets_and_writes_nothing_of_its_own(native: Desk, apex: Machine) -> None:
    """What verify cannot see. On Windows that is little: it asks for the access of each file itself."""
    key = apex.sh_at("sed -n s/^LITELLM_MASTER_KEY=//p {}", "keys")
    assert key
    if apex.windows:
        assert key not in json.dumps([apex.control("started"), apex.control("tasks")[TASK]])
        return
    pid = _main_process(apex)
    assert 61184 <= int(apex.sh(f"stat -c %u /proc/{pid}")) <= 65519, "a throw-away user of systemd's"
    assert apex.sh("stat -c '%U %a' /opt/litellm/gateway.env") == "root 600"
    assert apex.sh("find /opt/litellm /opt/uv ! -user root") == ""
    assert apex.sh("find /opt/litellm /opt/uv ! -type l -perm /022") == ""
    assert key not in apex.sh(f"tr '\\0' ' ' < /proc/{pid}/cmdline; cat /etc/systemd/system/litellm.service")
    reading = f"cat /opt/litellm/gateway.env /proc/{pid}/environ"
    assert key not in apex.sh(f"su nobody -s /bin/sh -c '{reading}' 2>&1 || true")


def test_an_installed_module_edited_by_hand_is_seen_and_healed(native: Desk, apex: Machine) -> None:
    router = f"{apex.at(_environment(apex))}/lib/python3*/site-packages/litellm/router.py"
    apex.sh(f"for each in {router}; do echo '# edited' >> $each; done")
    plan = native.run("plan")
    assert plan.code == 2
    assert plan.changes() == [f"apex venv {apex.path('venvs')}", "apex service litellm"]
    assert native.run("converge", "HOST=apex").code == 0
    assert apex.sh(f"grep '^# edited' {router} || true") == ""


def test_a_sick_one_is_put_back(native: Desk, apex: Machine, g16: Machine) -> None:
    """A guard that cannot be loaded: no validator of ours reads Python, so only the start shows it."""
    guard = native.checkout / "scripts/gateway/guard.py"
    good, before = guard.read_text(), apex.sh_at("sha256sum {}", "guard")
    guard.write_text("raise RuntimeError('planted: the guard cannot load')\n")
    ran = native.run("converge", "HOST=apex")
    guard.write_text(good)
    assert ran.code == 1
    assert "it fell over 3 times" in ran.out, "it is not waited for to the end"
    assert "planted: the guard cannot load" in ran.out
    assert "put back" in ran.out
    assert "answers again" in ran.out
    assert apex.sh_at("sha256sum {}", "guard") == before
    assert "Apex" in g16.sh(BRAIN)


def test_a_package_that_is_not_what_the_lock_says_is_never_installed(native: Desk, apex: Machine) -> None:
    lock = native.checkout / "scripts/gateway/requirements.lock"
    good, before = lock.read_text(), apex.sh_at("ls {}", "venvs")
    start = good.index("click==")
    end = good.index("\n", good.index("--hash", good.index("--hash", start) + 1))
    lock.write_text(good[:start] + f"{good[start:].split(' ')[0]} \\\n    --hash=sha256:{'0' * 64}" + good[end:])
    ran = native.run("converge", "HOST=apex")
    lock.write_text(good)
    assert ran.code == 1
    assert "click" in ran.out
    assert "Traceback" not in ran.out
    assert apex.sh_at("ls -A {}", "venvs") == before, "nothing half is left"
    assert native.run("converge", "HOST=apex").code == 0
    assert native.run("plan").code == 0


def test_after_a_reboot_it_is_back_by_itself(native: Desk, apex: Machine, g16: Machine) -> None:
    """Nobody logs in. The tailnet's address may come after it: it waits."""
    _restart(apex)
    assert "Apex" in _answers_by_itself(g16, within_s=180)
    if apex.windows:
        assert {each["session"] for each in apex.control("processes")} == {0}, "nobody is logged on"
    assert native.run("plan").code == 0


def test_back_in_a_container_nothing_of_it_is_left(native: Desk, desk: Desk, apex: Machine, g16: Machine) -> None:
    if apex.windows:
        apex.control("person", there=True)
    assert desk.run("converge").code == 0
    assert apex.sh(CONTAINERS).count("\n") == 0
    assert len(_listeners(apex)) == 1
    assert apex.sh_at("ls -d {} {} {} 2>/dev/null || true", "uv", "venvs", "lock") == ""
    if apex.windows:
        assert apex.sh_at("ls -d {} {} 2>/dev/null || true", "python", "service") == ""
        assert TASK not in apex.control("tasks")
    else:
        assert apex.sh("systemctl is-enabled litellm 2>&1 || true") != "enabled"
    assert "Apex" in _answers_by_itself(g16, within_s=30)
    assert desk.run("plan").code == 0
