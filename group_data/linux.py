"""Where things lie on a Linux machine, and how to talk to it."""

from deploys.schema import Agent, GatewayNative, GatewayPlace, Needs, Ollama, Program, Release, Ssh

_sudo = True

agent = Agent(python="python3 -I -X utf8", home="/var/lib/llm-harness")

# What the archive, and the brain, cannot do without; scripts/bootstrap.sh installs all three.
needs = Needs(programs={name: f"run scripts/bootstrap.sh there: it installs {name}" for name in ("zstd", "curl", "jq")})

# sshd listens on all interfaces, with keys only: it is the way back in when the tailnet is down.
# `only_from=["100.64.0.0/10", "fd7a:115c:a1e0::/48"]` lets people in from the tailnet alone. That is safe to try, for
# it is undone if it locks us out; it is off because the machine then has no way in at all without its tailnet.
# ListenAddress is refused: sshd would keep it until the next start, and then find no such address yet, and stay down.
# No fresh connection can show that beforehand.
ssh = Ssh(
    drop_in="/etc/ssh/sshd_config.d/10-llm-harness.conf",
    service="ssh",
    check=("/usr/sbin/sshd", "-t", "-f", "{file}"),
    settings={
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "X11Forwarding": "no",
    },
)

ollama = Ollama(
    release=Release(
        version="0.40.2",
        url="https://github.com/ollama/ollama/releases/download/v0.40.2/ollama-linux-amd64.tar.zst",
        sha256="726bee78706c281b0eeef00746efe51a044d71c592c3f0b195820707f31fdf04",
    ),
    home="/opt/ollama",
    state="/var/lib/ollama",
    models="/var/lib/ollama/models",
    program="bin/ollama",
)

# The container shares the machine's network: Ollama never leaves loopback for its sake.
gateway_place = GatewayPlace(home="/opt/litellm", network="host", ollama_url="http://127.0.0.1:11434")

# Without a container (gateway.runtime = "native"): the machine's own Python, 3.11 or newer.
gateway_native = GatewayNative(
    uv=Program(
        release=Release(
            version="0.9.28",
            url="https://github.com/astral-sh/uv/releases/download/0.9.28/uv-x86_64-unknown-linux-gnu.tar.gz",
            sha256="66ad1822dd9cf96694b95c24f25bc05cff417a65351464da01682a91796d1f2b",
        ),
        home="/opt/uv",
        program="uv-x86_64-unknown-linux-gnu/uv",
    ),
    python=Program("/usr/bin/python3"),
    venvs="/opt/litellm/venvs",
    inside="bin/python",
    state="/var/lib/litellm",
)
