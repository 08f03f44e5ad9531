#!/bin/sh
# Install LiteLLM below /media/site from the wheels in /media, every one checked by its hash. Bytecode comes later.
set -eu
python3 -m pip install --quiet --no-deps --require-hashes --no-index --find-links /media/wheels --no-compile \
    --no-cache-dir --root-user-action ignore --target /media/site --requirement /media/requirements.lock
rm -rf /media/wheels
find /media/site -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
