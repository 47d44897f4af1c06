#!/usr/bin/env bash
# The mount script, and open-iscsi alone, on a real Debian kernel:
# scripts/guest.sh [--list] [--suite NAME] [SCENARIO...|--ci|--all]. --ci leaves out the scenarios that are marked as
# long; --suite takes another release of Debian (bullseye, bookworm, trixie) for the recovery machine.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B tests/guest/run.py "$@"
