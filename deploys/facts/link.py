"""The line to a machine's agent: one request, one answer, the agent sent first where it is missing.

Only stock pyinfra underneath: `host.run_shell_command` with the machine's own global arguments.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from paramiko import SSHException
from pyinfra.api import Host, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments

from deploys.facts import arrival, channel
from deploys.facts.channel import Unreachable, whole
from deploys.facts.zipapp import file_name, packed
from deploys.lib.paths import joined
from deploys.schema import Agent

__all__ = ["Failed", "Unreachable", "ask", "command", "run", "send", "whole"]

Answer = dict[str, Any]

# Of a request on stdin. Windows' sshd makes its whole connection wait while more than 4 KiB are unread, and may then
# lose the end of stdin. No harm to us: the agent reads its one line first of all, waits for no end, and each machine is
# asked one thing at a time.
STDIN_BYTES = 64 << 10

# Runs under the machine's Python before the agent is there: writes what comes on stdin beside, names it when it is
# whole, and removes agents of other versions. No shell in it, nothing of an operating system's.
RECEIVE = (
    "import base64,os,sys,tempfile;"
    "home,name=sys.argv[1:];"
    "os.makedirs(home,0o700,exist_ok=True);"
    "data=base64.b64decode(sys.stdin.buffer.readline());"
    "number,new=tempfile.mkstemp(dir=home);"
    "os.write(number,data)==len(data) or sys.exit(3);"
    "os.close(number);"
    "os.replace(new,os.path.join(home,name));"
    "[os.unlink(os.path.join(home,old)) for old in os.listdir(home)"
    " if old.startswith('agent-') and old.endswith('.pyz') and old!=name]"
)


class Failed(Exception):
    """The agent refused: {"what", "why", "fix"}."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(f"could not {error['what']}: {error['why']}. Fix: {error['fix']}.")
        self.error = error


def _agent(host: Host) -> Agent:
    agent = host.data.get("agent")
    if not isinstance(agent, Agent):
        raise Unreachable(
            "group_data names no agent for it: put the machine into group linux or windows in inventory.py"
        )
    return agent


def command(host: Host, verb: str) -> str:
    """The command line that starts the agent: no quote, no blank in a word, nothing that any shell would touch."""
    agent = _agent(host)
    line = f"{agent.python} {joined(agent.home, file_name())} {verb}"
    return arrival.shielded(line) if agent.runtime else line


def run(host: Host, line: str | StringCommand, stdin: str, timeout_s: int | None = None) -> tuple[bool, str, str]:
    """One exec on the machine, as pyinfra's global arguments in its data say. (ok, stdout, stderr)"""
    if _agent(host).runtime:
        return channel.run(host, str(line), stdin, timeout_s or host.data.get("_timeout"))
    arguments, _ = pop_global_arguments(host.state, host, {})
    given: dict[str, Any] = dict(arguments)
    connector = {key: given[key] for key in CONNECTOR_ARGUMENT_KEYS if key in given}
    connector["_stdin"] = stdin
    if timeout_s:
        connector["_timeout"] = timeout_s
    command_line = StringCommand(line) if isinstance(line, str) else line
    try:
        ok, output = host.run_shell_command(command_line, print_output=False, print_input=False, **connector)
    except BrokenPipeError:  # it ended before it had read everything: what it said is lost, that it failed is not
        return False, "", ""
    except (OSError, EOFError, SSHException, TimeoutError) as error:
        raise Unreachable(f"the connection broke ({type(error).__name__}: {error}): converge again") from error
    return ok, output.stdout, output.stderr


def send(host: Host) -> None:
    """Bring the agent to the machine: one exec, over stdin, never readable by others on the way."""
    agent = _agent(host)
    if agent.runtime:
        arrival.bring(host, agent)
        return
    program, *options = agent.python.split(" ")
    line = StringCommand(program, *options, "-c", f'"{RECEIVE}"', agent.home, file_name())
    ok, _, said = run(host, line, base64.b64encode(packed()).decode())
    if not ok:
        why = said.strip().splitlines()[-1] if said.strip() else "it ended without a word"
        raise Unreachable(
            f"the agent could not be brought there with `{program}` ({why}): "
            "see that Python 3.9 or newer is installed there and that the SSH user may administer the machine"
        )


def ask(host: Host, verb: str, request: Answer, timeout_s: int | None = None) -> Answer:
    """What the agent answers. Sends the agent first when it is not there. Raises Unreachable or Failed."""
    line = json.dumps(request)
    _, out, said = _exchange(host, verb, line, timeout_s)
    answer = whole(out)
    if answer is None:
        send(host)
        _, out, said = _exchange(host, verb, line, timeout_s)
        answer = whole(out)
    if answer is None:
        why = said.strip().splitlines()[-1] if said.strip() else "an empty answer"
        raise Unreachable(f"the agent there did not answer `{verb}`: {why}")
    if "error" in answer:
        raise Failed(answer["error"])
    return answer


def _exchange(host: Host, verb: str, line: str, timeout_s: int | None) -> tuple[bool, str, str]:
    """One request. Where the agent has a runtime of its own, a large one goes by SFTP and the line only names it."""
    agent = _agent(host)
    if agent.runtime and len(line) > STDIN_BYTES:
        try:
            line = arrival.stage(host, agent, line)
        except FileNotFoundError:  # no home yet, so no agent either
            return False, "", ""
    ok, out, said = run(host, command(host, verb), line, timeout_s)
    return ok, channel.last_line(out) if agent.runtime else out, said
