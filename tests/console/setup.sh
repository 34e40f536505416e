#!/usr/bin/env bash
# What the tests of the console need: Debian's Chromium with a font, a virtual
# environment (.venv-console in the project's root, or where the first argument says)
# with Playwright, which drives that Chromium and brings none of its own, and axe-core
# in target/tools/console. Does nothing for what is there and up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$here/../..
venv=${1:-$root/.venv-console}
axe_version=4.14.1
# a place of its own: npm takes away what another install has put beside it
tools=$root/target/tools/console
exec </dev/null

if ! command -v chromium >/dev/null || ! [[ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ]]; then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        chromium fonts-dejavu-core
fi

# a copy of what was installed, made last: a half-made environment has none
wanted=$here/requirements.txt
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$wanted"
    cp "$wanted" "$venv/requirements.txt"
fi

if ! grep -qs "\"version\": \"$axe_version\"" "$tools/node_modules/axe-core/package.json"; then
    mkdir -p "$tools"
    npm install --prefix "$tools" --no-save --no-audit --no-fund --loglevel=error \
        "axe-core@$axe_version"
fi
