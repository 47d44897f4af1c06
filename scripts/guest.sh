#!/usr/bin/env bash
# The mount script on a real Debian kernel: scripts/guest.sh [--list] [SCENARIO...|--all].
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B tests/guest/run.py "$@"
