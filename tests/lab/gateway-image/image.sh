#!/bin/sh
# The gateway's image: `litellm` is the entry point, as in the official one.
set -eu
site=$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib", "deb_system"))')
cp -a /media/site/. "$site/"
install -m 755 /mnt/litellm /usr/local/bin/litellm
mkdir /app
# Importing the proxy once leaves bytecode for exactly what it uses, and shows that the image can run it.
LITELLM_LOCAL_MODEL_COST_MAP=True python3 -c 'import litellm.proxy.proxy_server, litellm.proxy.proxy_cli'
