#!/bin/sh
# A machine as its owner leaves it after the installer and bootstrap: systemd, sshd, Docker, a Tailscale service, and
# nothing of the project. The programs of Tailscale, keys and certificates come when the machine is made.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends systemd systemd-sysv dbus openssh-server sudo procps iproute2 iptables \
    curl jq zstd docker.io openssl kmod >/dev/null
/mnt/compose.sh
apt-get clean
rm -rf /var/lib/apt/lists/* /etc/ssh/ssh_host_*

useradd --create-home --shell /bin/bash desk
usermod --append --groups docker desk
echo 'desk ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/desk
install -d -o desk -g desk -m 700 /home/desk/.ssh
printf 'PasswordAuthentication no\nKbdInteractiveAuthentication no\n' > /etc/ssh/sshd_config.d/10-keys-only.conf

install -m 644 /mnt/tailscaled.service /mnt/lab-authority.service /etc/systemd/system/
install -m 644 /mnt/tailscaled.default /etc/default/tailscaled
systemctl enable -q ssh docker tailscaled lab-authority
# Nothing in a container answers these, and waiting for them would only make the boot long.
systemctl mask -q systemd-udevd.service systemd-udev-trigger.service systemd-modules-load.service getty.target \
    console-getty.service systemd-logind.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer fstrim.timer
