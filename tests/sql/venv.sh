#!/usr/bin/env bash
# Makes the virtual environment of these tests: .venv-sql in the project's root, or
# where the first argument says. Does nothing where it is there and up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${1:-$here/../../.venv-sql}
wanted=$here/requirements.txt

# a copy of what was installed, made last: a half-made environment has none
if cmp -s "$wanted" "$venv/requirements.txt"; then
    exit
fi
python3 -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --requirement "$wanted" </dev/null
cp "$wanted" "$venv/requirements.txt"
