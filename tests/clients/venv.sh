#!/usr/bin/env bash
# Makes the virtual environment of these tests, at .venv in the project's root
# or where the first argument says. Does nothing if it is there and up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${1:-$here/../../.venv}
wanted=$here/requirements.txt
# a copy of what was installed, made last: a half-made environment has none
installed=$venv/requirements.txt

if cmp -s "$wanted" "$installed"; then
    exit 0
fi
python3 -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --requirement "$wanted" </dev/null
cp "$wanted" "$installed"
