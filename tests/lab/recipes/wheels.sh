#!/bin/sh
# Download what the locks in /media pin, every package checked by its hash, for the Python of the machines.
set -eu
download() {
    python3 -m pip download --quiet --no-deps --require-hashes --only-binary :all: --no-cache-dir "$@"
}
download --dest /media/wheels --requirement /media/requirements.lock
download --dest /media/uv --requirement /media/uv.txt
