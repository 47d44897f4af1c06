#!/usr/bin/env bash
# itemlift beside tgt and tgt + stunnel, read by iscsi-perf in alternating runs.
# Options are passed on: --runs N, --seconds N.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/apt-tools.sh
cargo build --locked --release
exec python3 tests/interop/bench.py "$@"
