"""Who runs and who listens: `tasklist`, `taskkill`, `netstat`, and the table behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import looking

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process


def netstat(process: Process) -> int:
    """UDP rows have four fields; TIME_WAIT belongs to nobody."""
    machine = process.machine
    heads = ("Lokale Adresse", "Remoteadresse") if machine.language == "de" else ("Local Address", "Foreign Address")
    process.say_lines("", machine.say("Active Connections"), "")
    process.say_lines(
        f"  Proto  {heads[0]:<23}{heads[1]:<23}{'Status' if machine.language == 'de' else 'State':<16}PID"
    )
    family = process.arguments[-1] if "-p" in process.arguments else ""
    for proto, address, port, state, pid in machine.tools.sockets:
        if family and family != proto + ("v6" if ":" in address else ""):
            continue
        local = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        if proto == "UDP":
            process.say_lines(f"  UDP    {local:<22} {'*:*':<38} {pid}")
            continue
        far = ("[::]:0" if ":" in address else "0.0.0.0:0") if state == "LISTENING" else "100.64.0.9:51000"
        owner = 0 if state == "TIME_WAIT" else pid
        process.say_lines(f"  TCP    {local:<22} {far:<22} {machine.say(state):<15} {owner}")
    return 0


def tasklist(process: Process) -> int:
    machine = process.machine
    rows = [each for each in machine.processes.all.values() if each.alive and each is not process]
    if "/FI" in process.arguments:
        wanted = process.arguments[process.arguments.index("/FI") + 1]
        field, _, value = wanted.partition(" eq ")
        rows = [each for each in rows if value == {"PID": str(each.pid), "IMAGENAME": each.name}[field]]
    if not rows:
        process.say_lines(
            machine.say("INFO: ") + machine.say("No tasks are running which match the specified criteria.")
        )
        return 0
    if "/NH" not in process.arguments:
        german = '"Abbildname","PID","Sitzungsname","Sitz.-Nr.","Speichernutzung"'
        process.say_lines(
            german if machine.language == "de" else '"Image Name","PID","Session Name","Session#","Mem Usage"'
        )
    memory = "5.500 K" if machine.language == "de" else "5,500 K"
    for each in rows:
        row = f'"{each.name}","{each.pid}","Services","{each.session}","{memory}"'
        more = f',"Unknown","{looking.account_of(each)}","0:00:01","{machine.say("N/A")}"'
        process.say_lines(row + (more if "/V" in process.arguments else ""))
    return 0


def taskkill(process: Process) -> int:
    """Children first; 128 for an unknown number, 1 for a refused one."""
    machine = process.machine
    pid = int(process.arguments[process.arguments.index("/PID") + 1])
    found = machine.processes.all.get(pid)
    if found is None or not found.alive:
        process.say_lines(machine.say("ERROR: ") + machine.say('The process "{0}" not found.', pid), error=True)
        return 128

    def end(each: Process, parent: int) -> int:
        code = 0
        if "/T" in process.arguments:
            for child in machine.processes.children(each.pid):
                code = end(child, each.pid) or code
        if each.pid in machine.tools.refused_pids or "/F" not in process.arguments:
            text = machine.say("The process with PID {0} could not be terminated.", each.pid)
            process.say_lines(machine.say("ERROR: ") + text, error=True)
            process.say_lines(machine.say("Reason: ") + machine.say("Access is denied."), "", error=True)
            return 1
        machine.processes.end(each, 1)
        said = "The process with PID {0} (child process of PID {1}) has been terminated."
        alone = "The process with PID {0} has been terminated."
        process.say_lines(machine.say("SUCCESS: ") + machine.say(said if parent else alone, each.pid, parent))
        return code

    return end(found, 0)


def connection_table(machine: Machine, size: int) -> tuple[int, int, list[tuple[int, int, int]]]:
    """GetExtendedTcpTable, listeners only: (error, size needed, [(state, port as it lies there, pid)])."""
    rows = []
    for proto, _, port, state, pid in machine.tools.sockets:
        if proto == "TCP" and state == "LISTENING":
            swapped = (port & 0xFF) << 8 | port >> 8
            rows.append((2, swapped | machine.dice.getrandbits(16) << 16, pid))
    needed = 4 + 24 * len(rows)
    if size < needed:
        if size:
            machine.tools.sockets.append(("TCP", "127.0.0.1", 5000, "LISTENING", 4))
        return 122, needed, []
    return 0, needed, rows


# -- others
