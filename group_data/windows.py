"""Where things lie on a Windows machine, and how to talk to it."""

from deploys.schema import (
    TAILNET,
    Agent,
    DockerDesktop,
    Feature,
    FirewallRule,
    GatewayNative,
    GatewayPlace,
    Installer,
    Ollama,
    PathEntry,
    Power,
    Program,
    Reboot,
    RegistryValue,
    Release,
    Ssh,
    SystemService,
    Variable,
)

# The command goes as it stands: Windows has no `sh`.
_shell_executable = None

agent = Agent(
    # In the folder that sshd keeps for administrators: elsewhere any user could have put programs there before us.
    python=r"C:\ProgramData\ssh\llm-harness\python-3.12.10\python.exe -I -X utf8",
    home=r"C:\ProgramData\ssh\llm-harness",
    # Windows has no Python: this one needs no installation and is signed by the Python Software Foundation.
    runtime=Release(
        version="3.12.10",
        url="https://www.python.org/ftp/python/3.12.10/python-3.12.10-embed-amd64.zip",
        sha256="4acbed6dd1c744b0376e3b1cf57ce906f9dc9e95e68824584c8099a63025a3c3",
    ),
)

ollama = Ollama(
    release=Release(
        version="0.40.2",
        url="https://github.com/ollama/ollama/releases/download/v0.40.2/ollama-windows-amd64.zip",
        sha256="e29ad1d5063dd4b54b2492d9b00adab2cff9621bfa654b6c92aa8d6f1fdfe7fc",
    ),
    home=r"C:\Program Files\Ollama",
    state=r"C:\ProgramData\Ollama",
    models=r"C:\ProgramData\Ollama\models",
    program="ollama.exe",
)

# Its engine runs in the session of this user alone, and so starts with a logon, not with the machine: what that means
# for a restart, and the choices, are in docs/docker-on-windows.md. Skipped where it is installed already.
docker = DockerDesktop(
    user="owner",
    features=[Feature("Microsoft-Windows-Subsystem-Linux"), Feature("VirtualMachinePlatform")],
    installers=[
        Installer(
            "Windows Subsystem for Linux",
            url="https://github.com/microsoft/WSL/releases/download/2.6.3/wsl.2.6.3.0.x64.msi",
            sha256="562c79aba6ce9b6e9170f069d31e3717f10d76dd8bfbee39b07eae0ca4a02ca0",
            arguments=["/quiet", "/norestart"],
        ),
        Installer(
            "Docker Desktop",  # 4.93.0, by its build; it accepts Docker's licence: free for private use, see there
            url="https://desktop.docker.com/win/main/amd64/240920/Docker%20Desktop%20Installer.exe",
            sha256="c139124c9cf71477dc565c3c0ea5a18f90b93d68ebe9aaa848a065960416c0bc",
            arguments=["install", "--quiet", "--accept-license", "--backend=wsl-2", "--no-windows-containers"],
        ),
    ],
    settings=[
        RegistryValue(
            r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run\Docker Desktop",
            # Without quotes, as Docker's own backend writes it: two writers of one value say the same.
            data=r"C:\Program Files\Docker\Docker\Docker Desktop.exe -Autostart",
        ),
    ],
)

# So that `ollama` can be typed there.
path_entries = [PathEntry(rf"{ollama.home}\{ollama.release.version}")]

# Docker Desktop lets a container reach the machine's loopback by this name.
gateway_place = GatewayPlace(home=r"C:\litellm", network="bridge", ollama_url="http://host.docker.internal:11434")

# Without a container (gateway.runtime = "native"): it also answers after a reboot at which nobody logs in.
# Its Python is a whole one: the small one that the agent runs under cannot be the base of a virtual environment.
gateway_native = GatewayNative(
    uv=Program(
        release=Release(
            version="0.9.28",
            url="https://github.com/astral-sh/uv/releases/download/0.9.28/uv-x86_64-pc-windows-msvc.zip",
            sha256="9cb567fcd92f31431220ce620787043b946c30b9bb46ca213780e5ef471453be",
        ),
        home=r"C:\Program Files\uv",
        program="uv.exe",
    ),
    python=Program(
        release=Release(
            version="3.13.18",
            url="https://github.com/astral-sh/python-build-standalone/releases/download/20261110/"
            "cpython-3.13.18%2B20261110-x86_64-pc-windows-msvc-install_only_stripped.tar.gz",
            sha256="2e0fed09d48989f64c9305da9ff2d37a41c0d13ab2aa6283405b2b620dfbf805",
        ),
        home=r"C:\Program Files\Python for LiteLLM",
        program=r"python\python.exe",
    ),
    venvs=r"C:\litellm\venvs",
    inside=r"Scripts\python.exe",
    state=r"C:\ProgramData\LiteLLM",
)

# The whole file: the one that Windows brings includes no others. What follows Match is for administrators alone.
ssh = Ssh(
    drop_in=r"C:\ProgramData\ssh\sshd_config",
    service="sshd",
    check=(r"C:\Windows\System32\OpenSSH\sshd.exe", "-t", "-f", "{file}"),
    settings={
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "Subsystem": "sftp sftp-server.exe",
        "Match": "Group administrators",
        "AuthorizedKeysFile": "__PROGRAMDATA__/ssh/administrators_authorized_keys",
    },
)

system_services = [
    # Both are the way in: they start with the machine.
    SystemService("sshd", start="auto"),
    SystemService("Tailscale", start="auto"),
]

firewall_rules = [
    # SSH from the tailnet alone, loopback passes no firewall. Windows' own rule, under both its names, lets in anybody.
    FirewallRule("llm-harness ssh", ports=[22], remote=TAILNET),
    FirewallRule("OpenSSH SSH Server (sshd)", enabled=False),
    FirewallRule("OpenSSH Server (sshd)", enabled=False),
    # The gateway, should Tailscale's own rules be missing. Its address and its key are what really guards it.
    FirewallRule("llm-harness gateway", ports=[4000], remote=TAILNET),
    # Block beats allow: an Ollama that somebody starts beside ours, on every address, stays this machine's own.
    FirewallRule("llm-harness no ollama", action="block", ports=[11434]),
]

power = [
    # On mains it is always there for others; on battery it does what its user chose.
    Power("sleep", plugged_s=0),
    Power("hibernate", plugged_s=0),
]

registry_values = [
    # No Fast Startup: after it nothing runs that is to run at boot, which all our services are.
    RegistryValue(r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power\HiberbootEnabled", "dword", 0),
    # Paths beyond 260 signs: Python environments have them.
    RegistryValue(r"HKLM\SYSTEM\CurrentControlSet\Control\FileSystem\LongPathsEnabled", "dword", 1),
    # Commands over SSH go through cmd.exe, which keeps exit codes and needs no profile to start.
    RegistryValue(r"HKLM\SOFTWARE\OpenSSH\DefaultShell", "string", r"C:\Windows\System32\cmd.exe"),
    RegistryValue(r"HKLM\SOFTWARE\OpenSSH\DefaultShellCommandOption"),
    # Ollama's tray app does not start at logon: it would hold our port. As its user would switch it off: 03 is off.
    RegistryValue(
        r"HKCU\Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\StartupFolder\Ollama.lnk",
        type="binary",
        data="03" + "00" * 11,
    ),
    RegistryValue(r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run\Ollama"),
]

# An Ollama that was set up by hand: its leftovers would send our clients elsewhere, or open it to web pages.
variables = [
    Variable("OLLAMA_HOST", None),
    Variable("OLLAMA_MODELS", None),
    Variable("OLLAMA_ORIGINS", None),
    Variable("OLLAMA_HOST", None, scope="user"),
    Variable("OLLAMA_MODELS", None, scope="user"),
]

# Converge says that a restart is pending, and leaves it to you: somebody may sit there. `allowed=True` lets it.
reboot = Reboot(allowed=False)
