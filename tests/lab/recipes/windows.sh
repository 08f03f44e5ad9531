#!/bin/sh
# The machine that stands in for a Windows one: as the Linux machines, but what answers on port 22 is the stand-in.
set -eu
apt-get remove -y -qq openssh-server >/dev/null
install -d /opt/standin/packages /var/lib/windows /etc/docker
for wheel in /media/*.whl; do
    python3 -m zipfile -e "$wheel" /opt/standin/packages
done
install -m 644 /mnt/windows.service /etc/systemd/system/
install -m 755 /mnt/docker-credential-desktop /mnt/windows-control /usr/local/bin/
# Docker Desktop's engine asks Docker Desktop for names.
echo '{"dns": ["192.168.65.7"]}' > /etc/docker/daemon.json
systemctl disable -q docker.service docker.socket containerd.service
systemctl enable -q windows
