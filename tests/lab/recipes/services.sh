#!/bin/sh
# What the lab's own servers run on: the store, the image registry, the clouds, headscale, the desk, the neighbour.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends curl docker-registry iproute2 libgomp1 python3-pip >/dev/null
apt-get clean
rm -rf /var/lib/apt/lists/*
