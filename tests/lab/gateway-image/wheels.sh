#!/bin/sh
# Install LiteLLM below /media/site, every package checked by its hash. Bytecode is made when the image is.
set -eu
python3 -m pip install --quiet --no-deps --require-hashes --no-compile --no-cache-dir --root-user-action ignore \
    --target /media/site --requirement /mnt/requirements.lock
find /media/site -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
