"""start.py hands LiteLLM every line of its file, as it stands, and becomes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[3] / "scripts" / "gateway"


def test_the_secrets_reach_litellm_as_they_stand(tmp_path: Path) -> None:
    odd = "a 'b'#${c}\\\"=d"
    (tmp_path / "gateway.env").write_text(f"GROQ_API_KEY={odd}\nLITELLM_MODE=PRODUCTION\n\n")
    litellm = tmp_path / "litellm"
    litellm.write_text(
        f"#!{sys.executable}\nimport json, os, sys\n"
        "print(json.dumps([sys.argv[1:], os.getpid(), os.environ['GROQ_API_KEY'], os.environ['LITELLM_MODE']]))\n"
    )
    litellm.chmod(0o755)
    program = f"import start, pathlib; start.SETTINGS = pathlib.Path({str(tmp_path / 'gateway.env')!r}); start.main()"
    started = subprocess.Popen(
        [sys.executable, "-c", program, "--port", "4000"],
        env={"PATH": str(tmp_path), "PYTHONPATH": str(SCRIPTS)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    said, _ = started.communicate(timeout=30)
    assert json.loads(said) == [["--port", "4000"], started.pid, odd, "PRODUCTION"]
