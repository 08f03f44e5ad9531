#!/usr/bin/env bash
# The two manual minutes on a bare Debian, Ubuntu or WSL machine. Run it once with sudo; run again, it changes nothing.
#
#   sudo scripts/bootstrap.sh --key ~/.ssh/id_ed25519.pub [--user NAME] [--docker] [--no-tailscale]
#
# --key   the desk's public key: a file, or the line itself   --user  whom the desk comes as (default: who calls sudo)
# --docker  Docker Engine and compose too, for a machine that shall carry the gateway
# What converge does afterwards is not done here: only what it needs to come in.
set -euo pipefail

# Official static archive. Another processor: give its own URL and sha256 in these variables.
: "${TAILSCALE_URL:=https://pkgs.tailscale.com/stable/tailscale_1.102.4_amd64.tgz}"
: "${TAILSCALE_SHA256:=50748df1045e60b5b695f19f4c56b0da36c019948b440fb456b6584a50f0d8b9}"
# Only where the distribution has no compose of its own that understands `docker compose`.
: "${COMPOSE_URL:=https://github.com/docker/compose/releases/download/v5.6.0/docker-compose-linux-x86_64}"
: "${COMPOSE_SHA256:=40343e21ca777173e69cff5dbafeb37c6f81f3b0d57d9e597f036e95eb63e76a}"

user=${SUDO_USER:-} key='' docker=no tailscale=yes

fail() { printf '%s\n' "$*" >&2; exit 1; }
did() { printf '  did    %s\n' "$*"; }
is() { printf '  is so  %s\n' "$*"; }
todo() { printf '  to do  %s\n' "$*"; }

read_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --user) user=${2:?--user wants a name}; shift 2 ;;
            --key) key=${2:?--key wants a file or a public key}; shift 2 ;;
            --docker) docker=yes; shift ;;
            --no-tailscale) tailscale=no; shift ;;
            -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
            *) fail "$1 says nothing to me: --key, --user, --docker, --no-tailscale do" ;;
        esac
    done
}

check_ground() {
    [ "$(id -u)" = 0 ] || fail "this needs root: sudo $0 ..."
    command -v apt-get >/dev/null || fail "there is no apt-get here: this script knows Debian, Ubuntu and WSL with them"
    case $user in '' | root) fail "whom shall the desk come as? Say --user NAME (not root)" ;; esac
    if [ -f "$key" ]; then key=$(cat -- "$key"); fi
    [ -z "$key" ] || [[ $key =~ ^(ssh-|ecdsa-|sk-)[^[:space:]]+\ [A-Za-z0-9+/=]+ ]] ||
        fail "--key is no public key: give the .pub file or its line (ssh-ed25519 AAAA...)"
    [ -n "$key" ] || [ -s "$(home_of "$user")/.ssh/authorized_keys" ] ||
        fail "no key lets the desk in as $user yet: say --key with the desk's public key"
}

home_of() { getent passwd "$1" | cut -d : -f 6; }

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

install_packages() {
    local missing=() package
    for package in "$@"; do installed "$package" || missing+=("$package"); done
    if [ ${#missing[@]} = 0 ]; then is "packages $*"; return; fi
    export DEBIAN_FRONTEND=noninteractive
    local install=(apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install -y --no-install-recommends)
    "${install[@]}" "${missing[@]}" >/dev/null 2>&1 || {
        apt-get -qq update >/dev/null || fail "apt-get cannot refresh its lists: see what \`apt-get update\` says"
        "${install[@]}" "${missing[@]}" >/dev/null || fail "apt-get cannot install ${missing[*]}: see above"
    }
    did "installed ${missing[*]}"
}

# fetch URL SHA256 FILE: nothing is left under FILE unless its bytes are the right ones.
fetch() {
    curl -fsSL --retry 3 --connect-timeout 20 -o "$3.part" "$1" || { rm -f "$3.part"; fail "cannot download $1"; }
    local found
    found=$(sha256sum "$3.part" | cut -d ' ' -f 1)
    [ "$found" = "$2" ] || { rm -f "$3.part"; fail "$1 has sha256 $found and not $2: not installed"; }
    mv "$3.part" "$3"
}

has_systemd() { [ -d /run/systemd/system ]; }

start() {
    if ! has_systemd; then
        todo "$1 needs systemd, which does not run here (WSL: put systemd=true under [boot] into /etc/wsl.conf, restart)"
    elif systemctl -q is-active "$1" && systemctl -q is-enabled "$1"; then
        is "$1 runs and starts with the machine"
    else
        systemctl -q enable --now "$1" || fail "$1 does not start: see \`journalctl -u $1\`"
        did "started $1"
    fi
}

install_tailscale() {
    if command -v tailscaled >/dev/null; then
        is "tailscale $(tailscale version | head -n 1)"
    else
        local scratch
        scratch=$(mktemp -d)
        # shellcheck disable=SC2064 # the directory of now
        trap "rm -rf '$scratch'" EXIT
        fetch "$TAILSCALE_URL" "$TAILSCALE_SHA256" "$scratch/archive.tgz"
        tar -xzf "$scratch/archive.tgz" -C "$scratch" --strip-components 1 --no-same-owner
        install -D -m 0755 "$scratch/tailscale" /usr/bin/tailscale
        install -D -m 0755 "$scratch/tailscaled" /usr/sbin/tailscaled
        [ -e /etc/default/tailscaled ] || install -D -m 0644 "$scratch/systemd/tailscaled.defaults" /etc/default/tailscaled
        install -D -m 0644 "$scratch/systemd/tailscaled.service" /etc/systemd/system/tailscaled.service
        has_systemd && systemctl daemon-reload
        did "installed tailscale $(tailscale version | head -n 1)"
    fi
    start tailscaled
}

install_docker() {
    install_packages docker.io
    local plugin
    if docker compose version >/dev/null 2>&1; then
        is "docker compose"
    elif plugin=$(apt-cache search --names-only '^docker-compose-(v2|plugin)$' | cut -d ' ' -f 1 | head -n 1) && [ -n "$plugin" ]; then
        install_packages "$plugin"
    else
        mkdir -p /usr/local/lib/docker/cli-plugins
        fetch "$COMPOSE_URL" "$COMPOSE_SHA256" /usr/local/lib/docker/cli-plugins/docker-compose
        chmod 0755 /usr/local/lib/docker/cli-plugins/docker-compose
        did "installed docker compose"
    fi
    start docker
}

let_the_desk_in() {
    if id "$user" >/dev/null 2>&1; then
        is "user $user"
    else
        useradd --create-home --shell /bin/bash "$user"
        did "made user $user"
    fi
    local home group
    home=$(home_of "$user")
    group=$(id -gn "$user")
    # Converge changes the system, and nobody sits there to type a password.
    local rule="$user ALL=(ALL) NOPASSWD: ALL" file="/etc/sudoers.d/10-llm-harness"
    if [ "$(cat "$file" 2>/dev/null)" = "$rule" ]; then
        is "$user may sudo without a password"
    else
        (umask 0227; printf '%s\n' "$rule" >"$file.new")
        visudo -qcf "$file.new" >/dev/null || { rm -f "$file.new"; fail "sudo refuses the rule for $user"; }
        mv -f "$file.new" "$file"
        did "let $user sudo without a password ($file)"
    fi
    local keys="$home/.ssh/authorized_keys"
    if [ -z "$key" ]; then
        is "$keys has $(grep -c . "$keys") key(s), none was given"
    elif grep -qsF "$(cut -d ' ' -f 1,2 <<<"$key")" "$keys"; then
        is "the desk's key is in $keys"
    else
        install -d -m 0700 -o "$user" -g "$group" "$home/.ssh"
        if [ -s "$keys" ] && [ -n "$(tail -c 1 "$keys")" ]; then echo >>"$keys"; fi
        printf '%s\n' "$key" >>"$keys"
        chown "$user:$group" "$keys"
        chmod 0600 "$keys"
        did "put the desk's key into $keys"
    fi
}

say_what_is_next() {
    local name
    name=$(hostname -s | tr '[:upper:]_' '[:lower:]-')
    echo
    if [ "$tailscale" = yes ]; then
        if name_there=$(tailscale status --json --peers=false 2>/dev/null | jq -er 'select(.BackendState == "Running") | .Self.DNSName | split(".")[0]'); then
            name=$name_there
        else
            printf 'Join it to your tailnet:  sudo tailscale up\n'
        fi
    fi
    printf 'Into inventory.py, under the group that says what it is for (apex: models and gateway; g16: client):\n'
    printf '    ("%s", {"ssh_user": "%s"})\n' "$name" "$user"
    printf 'and "%s" into the list of linux machines. ' "$name"
    printf 'On the desk, once: ssh %s@%s, and compare what it shows with\n' "$user" "$name"
    for public in /etc/ssh/ssh_host_*_key.pub; do printf '    %s\n' "$(ssh-keygen -lf "$public")"; done
    printf 'Then, on the desk: make rebuild HOST=%s\n' "$name"
}

read_arguments "$@"
check_ground
install_packages ca-certificates curl jq openssh-server python3 sudo zstd
ssh-keygen -A >/dev/null
let_the_desk_in
start ssh
[ "$tailscale" = no ] || install_tailscale
[ "$docker" = no ] || install_docker
say_what_is_next
