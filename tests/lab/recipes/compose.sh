#!/bin/sh
# Docker Compose: the official plugin if the desk could fetch it, else Debian's package, checked by its hash.
set -eu
if [ -f /media/docker-compose ]; then
    install -D -m 755 /media/docker-compose /usr/local/lib/docker/cli-plugins/docker-compose
    exit
fi
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
curl -fsS --retry 3 -o /tmp/compose.deb "${mirror%/}/$COMPOSE_POOL"
echo "$COMPOSE_SHA256  /tmp/compose.deb" | sha256sum --check --quiet
dpkg --install /tmp/compose.deb >/dev/null
rm /tmp/compose.deb
