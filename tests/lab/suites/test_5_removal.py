"""What leaves the data leaves the machine; a stranger's things beside it stay (see also test_5_neighbours)."""

from __future__ import annotations

from .conftest import Desk, Machine

API = "http://127.0.0.1:11434"


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
