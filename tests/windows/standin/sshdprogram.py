"""sshd.exe as a program: `-t` and what sshd_config may say. The service does not start with a file that it refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .machine import SSH_HOME

if TYPE_CHECKING:
    from .machine import Machine
    from .processes import Process

PROGRAM = r"C:\Windows\System32\OpenSSH\sshd.exe"
CONFIG = rf"{SSH_HOME}\sshd_config"
KNOWN = {
    *(
        "port",
        "addressfamily",
        "listenaddress",
        "hostkey",
        "syslogfacility",
        "loglevel",
        "logingracetime",
        "maxauthtries",
    ),
    *("permitrootlogin", "strictmodes", "maxsessions", "maxstartups", "pubkeyauthentication", "authorizedkeysfile"),
    *("passwordauthentication", "permitemptypasswords", "kbdinteractiveauthentication", "gssapiauthentication"),
    *("allowagentforwarding", "allowtcpforwarding", "gatewayports", "permittty", "printmotd", "tcpkeepalive"),
    *("clientaliveinterval", "clientalivecountmax", "usedns", "pidfile", "versionaddendum", "banner", "subsystem"),
    *("match", "allowgroups", "allowusers", "denygroups", "denyusers", "forcecommand", "authenticationmethods"),
    *("hostkeyagent", "chrootdirectory", "x11forwarding", "persourcepenalties", "challengeresponseauthentication"),
}
YES_NO = {"passwordauthentication", "pubkeyauthentication", "kbdinteractiveauthentication", "strictmodes"}
FROM_THE_BOX = """\
AuthorizedKeysFile\t.ssh/authorized_keys
PasswordAuthentication no
Subsystem\tsftp\tsftp-server.exe
Match Group administrators
       AuthorizedKeysFile __PROGRAMDATA__/ssh/administrators_authorized_keys
"""


def install(machine: Machine) -> None:
    machine.processes.install(PROGRAM, sshd)
    machine.processes.install(r"C:\Windows\System32\OpenSSH\sftp-server.exe", lambda process: 0)


def furnish(machine: Machine) -> None:
    """As bootstrap leaves it: keys only."""
    machine.drive.write(CONFIG, FROM_THE_BOX.replace("\n", "\r\n"))


def faults(machine: Machine, path: str) -> list[str]:
    """What sshd says against the file, in its words."""
    if not machine.drive.exists(path):
        return [f"{path}: No such file or directory"]
    found = []
    for number, line in enumerate(machine.drive.read(path).decode("utf-8", "replace").splitlines(), 1):
        words = re.split(r"[\s=]+", line.strip())
        if not words[0] or words[0].startswith("#"):
            continue
        name = words[0].lower()
        if name not in KNOWN:
            found.append(f"{path}: line {number}: Bad configuration option: {words[0]}")
        elif len(words) < 2:
            found.append(f'{path} line {number}: no argument after keyword "{words[0]}"')
        elif name in YES_NO and words[1].lower() not in ("yes", "no"):
            found.append(f'{path} line {number}: unsupported option "{words[1]}".')
    return [*found, f"{path}: terminating, {len(found)} bad configuration options"] if found else []


def sshd(process: Process) -> int:
    """`sshd.exe -t -f FILE`"""
    words = process.arguments
    path = words[words.index("-f") + 1] if "-f" in words else CONFIG
    wrong = faults(process.machine, path.replace("/", "\\"))
    process.say("".join(f"{each}\r\n" for each in wrong), error=True)
    return 255 if wrong else 0
