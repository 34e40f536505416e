#!/usr/bin/env bash
# Makes the virtual environment of these tests: .venv-archive in the project's root, or
# where the first argument says. Does nothing if it is there and up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${1:-$here/../../.venv-archive}

# a copy of what was installed, made last: a half-made environment has none
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$here/requirements.txt" </dev/null
    cp "$here/requirements.txt" "$venv/requirements.txt"
fi
