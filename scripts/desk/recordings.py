"""What `record` asks of a Windows machine: our tests' stand-ins claim to know each of these answers.

No value that may be a secret is asked for: no whole environment, no keys, no peers of the tailnet, no file's content.
In a command `{python}` is the agent's Python, `{home}` the agent's folder, `{scratch}` a folder of the recording's own.
A command has no `%` and ends well before cmd.exe's 8191 characters; its exit code is asked for behind it.
"""

from __future__ import annotations

from dataclasses import dataclass

TIMEOUT_S = 30
SCRATCH = r"C:\ProgramData\ssh\llm-harness-record"
SFTP_SCRATCH = "/C:/ProgramData/ssh/llm-harness-record"  # the same, as SFTP calls it
READ_ALL = "{python} -I -c print(len(__import__('sys').stdin.buffer.read()))"
RULES = r"HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules"
ENVIRONMENT = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
UNINSTALL = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
LISTING = "/L /E /BYTES /TS /FP /NC /NDL /NJH /NJS /NP /XJ /R:0 /W:0"
SLEEP = "238c9fa8-0aad-41ed-83f4-97be242c8f20"
MISSING = "llm-harness-is-not-there"


@dataclass(frozen=True)
class Recording:
    """One command and why its answer matters. `stdin_bytes`: so many zero bytes are sent, then the end."""

    name: str
    command: str
    why: str
    stdin_bytes: int = 0
    timeout_s: int = TIMEOUT_S


FIRST = [
    Recording("windows-version", "ver", "the build that all the rest is about"),
    Recording("code-page", "chcp", "the OEM page that most tools answer in"),
    Recording(
        "windows-edition", r'reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v UBR', "the build's update"
    ),
    Recording("ssh-shell", r"reg query HKLM\SOFTWARE\OpenSSH", "DefaultShell and its option"),
    Recording(
        "ssh-autorun", r'reg query "HKLM\SOFTWARE\Microsoft\Command Processor"', "AutoRun would print into answers"
    ),
    Recording("exit-code", "cmd /c exit 3010", "whole exit codes; ssh itself shows the low 8 bits, 194"),
    Recording("exit-code-negative", "cmd /c exit -2147024894", "codes that are HRESULTs"),
]

# the end of stdin, by how much is unread
ENDS = [
    Recording(f"stdin-{size}", READ_ALL, "whether the end of stdin arrives after so many bytes", size, 20)
    for size in (1, 4096, 4097, 65536, 1_000_000)
]

PROGRAMS = [
    Recording("python", "{python} -V", "the embeddable Python, once converge has brought it"),
    Recording(
        "docker",
        "docker version & docker context ls & docker compose version",
        "texts and codes; once with Docker Desktop running, once stopped",
    ),
    Recording(
        "docker-pipe", r"docker -H npipe:////./pipe/dockerDesktopLinuxEngine version", "the way without contexts"
    ),
    Recording(
        "tailscale-state",
        "tailscale status --json --peers=false | findstr /l /c:BackendState /c:HaveNodeKey /c:Online /c:TUN",
        "the fields that are read (the rest, with names and keys, stays there)",
    ),
    Recording("tailscale-prefs", "tailscale debug prefs | findstr /c:ForceDaemon /c:WantRunning", "runs unattended"),
    Recording("tailscale-policy", r"reg query HKLM\SOFTWARE\Policies\Tailscale", "runs unattended by policy"),
    Recording(
        "smart-app-control",
        r"reg query HKLM\SYSTEM\CurrentControlSet\Control\CI\Policy /v VerifiedAndReputablePolicyState",
        "1 blocks unsigned programs: the embeddable Python is signed, others are not",
    ),
    Recording(
        "nvidia",
        "nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv,noheader,nounits",
        "the card, from session 0",
    ),
    Recording("ollama", "curl -s -m 5 http://127.0.0.1:11434/api/ps", "size_vram above 0: on the card, by a boot task"),
    Recording(
        "logged-on",
        'tasklist /NH /FI "IMAGENAME eq explorer.exe"',
        "no row of explorer.exe when nobody is logged on: then the boot tasks did it all",
    ),
    Recording(
        "docker-run",
        r'reg query HKCU\Software\Microsoft\Windows\CurrentVersion\Run /v "Docker Desktop"',
        "how Docker starts with a logon: without quotes, as Docker's own backend writes it",
    ),
    Recording(
        "docker-containers",
        'docker ps -a --no-trunc --format "{{.ID}} {{.Mounts}}"',
        "how a folder of this machine is called that a container sees",
    ),
    Recording("wsl-status", "wsl --status", "UTF-16, and its code where WSL is missing"),
    Recording("wsl-list", "wsl -l -v", "the same for the list"),
]

TOOLS = [
    Recording(
        "schtasks-missing", rf"schtasks /Query /TN \{MISSING} /XML ONE /HRESULT", "how absent is told: 0x80070002"
    ),
    Recording(
        "schtasks-missing-folder", rf"schtasks /Query /TN \{MISSING}\x /XML ONE /HRESULT", "and 0x80070003, its folder"
    ),
    Recording(
        "schtasks-xml", r"schtasks /Query /TN \Microsoft\Windows\Defrag\ScheduledDefrag /XML ONE", "canonical XML"
    ),
    Recording(
        "schtasks-csv", r"schtasks /Query /TN \Microsoft\Windows\Defrag\ScheduledDefrag /FO CSV /V /NH", "its columns"
    ),
    Recording(
        "schtasks-all",
        r'schtasks /Query /XML | findstr /l /c:"<?xml" /c:"<Tasks" /c:"<!-- \llm-harness"',
        "whether all tasks are one document",
    ),
    Recording("netsh-missing", f"netsh advfirewall firewall show rule name={MISSING}", "exit 1 for no such rule"),
    Recording("firewall-ssh", f'reg query "{RULES}" /v OpenSSH-Server-In-TCP', "the shipped rule and its shown name"),
    Recording("firewall-ours", f'reg query "{RULES}" | findstr /l /c:"llm-harness" /c:"Tailscale-In"', "rules as kept"),
    Recording("sc-sshd", "sc queryex sshd & sc qc sshd", "labels and numbers of a service"),
    Recording("sc-missing", f"sc query {MISSING}", "exit 1060"),
    Recording("sc-running", "sc start sshd", "exit 1056: it runs already"),
    Recording("icacls-programdata", r"icacls C:\ProgramData", "names of groups, in this language"),
    Recording("icacls-ssh", r"icacls C:\ProgramData\ssh", "who may change it: sshd asks, and we live there"),
    Recording("icacls-ssh-logs", r"icacls C:\ProgramData\ssh\logs", "the same of its logs"),
    Recording("icacls-home", "icacls {home}", "for administrators and SYSTEM only, once converge was here"),
    Recording("icacls-missing", rf"icacls C:\{MISSING}", "exit 2"),
    Recording("netstat", 'netstat -ano -p TCP | findstr /l /c:":22 " /c:":4000 " /c:":11434 "', "listeners of ours"),
    Recording("netstat-both", 'netstat -ano | findstr /l /c:":22 "', "the same of both families, as verify asks"),
    Recording("route", "route print", "own addresses: which columns, how long ones of IPv6 break"),
    Recording(
        "tasklist-accounts", 'tasklist /V /FO CSV /NH /FI "IMAGENAME eq sshd.exe"', "its columns; whom SYSTEM is"
    ),
    Recording("tasklist", 'tasklist /FO CSV /NH /FI "PID eq 4"', "the process System, in this language"),
    Recording("tasklist-missing", 'tasklist /FO CSV /NH /FI "PID eq 3"', "no such process, exit 0"),
    Recording("taskkill-missing", "taskkill /PID 3 /F", "exit 128"),
    Recording("certutil", r"certutil -hashfile C:\Windows\System32\cmd.exe SHA256", "where the hash stands"),
    Recording("certutil-missing", rf"certutil -hashfile C:\{MISSING} SHA256", "exit 0x80070002"),
    Recording("certutil-folder", r"certutil -hashfile C:\Windows SHA256", "exit 0x80070005: that it is a folder"),
    Recording(
        "robocopy",
        rf"robocopy C:\Windows\System32\OpenSSH NUL {LISTING}",
        "columns of a listing, its times in UTC, exit 1: there is something to copy",
    ),
    Recording("robocopy-missing", rf"robocopy C:\{MISSING} NUL {LISTING}", "exit 16, in this language"),
    Recording(
        "powercfg-hidden",
        f"powercfg /qh SCHEME_CURRENT {SLEEP} 9d7815a6-7ee4-497e-8888-515a05f02364",
        "a setting that /query may leave out; without numbers where the machine has none",
    ),
    Recording(
        "powercfg",
        f"powercfg /query SCHEME_CURRENT {SLEEP} 29f6c1db-86da-48c5-9fdb-f2b67b1f44da",
        "the last two hex numbers: on mains, on battery",
    ),
    Recording("reg-path", f'reg query "{ENVIRONMENT}" /v Path', "REG_EXPAND_SZ, with its variables"),
    Recording("set", "cmd /c set ProgramFiles", "NAME=value, the names in their own case"),
    Recording(
        "reg-programs",
        rf'reg query "{UNINSTALL}\Docker Desktop" /s /v DisplayName',
        "a listed program; the sentence at the end of a search",
    ),
    Recording(
        "reg-service", r"reg query HKLM\SYSTEM\CurrentControlSet\Services\sshd", "Start; DelayedAutostart or not"
    ),
    Recording("reg-missing", rf"reg query HKLM\SOFTWARE\{MISSING}", "exit 1, in this language"),
    Recording(
        "dism-feature",
        "dism /English /Online /Get-FeatureInfo /FeatureName:VirtualMachinePlatform",
        "its state",
        0,
        120,
    ),
    Recording(
        "dism-missing", f"dism /English /Online /Get-FeatureInfo /FeatureName:{MISSING}", "exit 0x800f080c", 0, 120
    ),
    Recording("fltmc", "fltmc filters", "exit 0 only with elevation: bootstrap.cmd asks it"),
    Recording("tar", "tar --version", "unpacks the Python and Ollama"),
    Recording("curl", "curl --version", "Schannel"),
    Recording("not-a-program", MISSING, "cmd's own words, exit 1 or 9009"),
    Recording("not-a-folder", rf"C:\{MISSING}\x.exe", "cmd's own words for a folder that is missing"),
]

SCRATCHES = [
    Recording(
        "icacls-save",
        r"icacls {scratch} /save {scratch}\lists /T /C /Q & type {scratch}\lists",
        "UTF-16; a name and its list in turn, names from the folder's own on",
    ),
    Recording("mkdir-sftp", "icacls {scratch}", "a folder that SFTP has made: who may read"),
    Recording(
        "mkdir-python",
        r"{python} -I -c __import__('os').mkdir(r'{scratch}\plain') & icacls {scratch}\plain",
        "the same from Python",
    ),
    Recording(
        "mkdir-python-700",
        r"{python} -I -c __import__('os').mkdir(r'{scratch}\private',0o700) & icacls {scratch}\private",
        "since 3.12.4 with mode 700: without its group Administrators",
    ),
]

LEFT_OUT = (
    "Left out on purpose: variables other than the machine's Path and where programs lie, keys and key files, the "
    "tailnet's other machines, names and node keys, the content of files, the list of processes. What is in may still "
    "name a user, this machine, its addresses and its containers: read it before you give it away."
)
