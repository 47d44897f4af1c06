#!/usr/bin/env bash
# itemlift beside tgt and tgt + stunnel, and the mount script's tunnel beside stunnel's client, read by iscsi-perf in
# alternating runs.
# Options are passed on: --runs N, --seconds N.
set -euo pipefail
if [[ ${1-} == -h || ${1-} == --help ]]; then
    sed -n '2,4s/^# \{0,1\}//p' "$0"
    exit
fi
cd "$(dirname "$0")/.."
scripts/apt-tools.sh
cargo build --locked --release
python3 tests/interop/bench.py "$@"
python3 tests/interop/tunnels.py "$@"
