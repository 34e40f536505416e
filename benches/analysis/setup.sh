#!/usr/bin/env bash
# What this benchmark needs: a Java runtime of version 17 or later for Spark, and a virtual
# environment (.venv-analysis in the project's root, or where the first argument says) with
# the engines. Does nothing for what is there and up to date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv=${1:-$here/../../.venv-analysis}
exec </dev/null

java_version() {
    # `openjdk version "17.0.15" ...`
    "${JAVA_HOME:+$JAVA_HOME/bin/}java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1
}

version=$(java_version || true)
if ((${version:-0} < 17)); then
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends default-jre-headless
    version=$(java_version || true)
    if ((${version:-0} < 17)); then
        echo "Java ${version:-of no version} is here, and Spark 4 needs 17 or later: install one" >&2
        exit 69
    fi
fi

# a copy of what was installed, made last: a half-made environment has none
wanted=$here/requirements.txt
if ! cmp -s "$wanted" "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
        --requirement "$wanted"
    cp "$wanted" "$venv/requirements.txt"
fi
