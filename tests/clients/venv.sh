#!/usr/bin/env bash
# Makes the virtual environments of these tests: .venv in the project's root, or
# where the first argument says, and beside it one with the same name and
# "-ministack" for MiniStack, and one with "-mcp" for AWS's MCP server, which want
# other versions than the AWS CLI. Does nothing for one that is there and up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${1:-$here/../../.venv}

# make VENV REQUIREMENTS
make() {
    # a copy of what was installed, made last: a half-made environment has none
    local venv=$1 wanted=$2 installed=$1/requirements.txt
    if cmp -s "$wanted" "$installed"; then
        return
    fi
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$wanted" </dev/null
    cp "$wanted" "$installed"
}

make "$venv" "$here/requirements.txt"
make "$venv-ministack" "$here/ministack.txt"
make "$venv-mcp" "$here/mcp.txt"
