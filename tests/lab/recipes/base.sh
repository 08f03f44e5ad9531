#!/bin/sh
# What every image of the lab stands on: a small Debian with Python. It is kept as one layer.
set -eu
export DEBIAN_FRONTEND=noninteractive
cp /mnt/dpkg-lean /etc/dpkg/dpkg.cfg.d/lean
if ! command -v python3 >/dev/null; then
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends ca-certificates python3 >/dev/null
fi
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/*.log
