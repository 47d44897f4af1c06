#!/usr/bin/env bash
# Repositories on every kind of storage, with every fault, read over iSCSI: scripts/repositories.sh
# [--store local|rest|s3|azure|sftp]... [--only CASE]... [--list]. All of it takes long; --quick is what CI runs.
set -euo pipefail
cd "$(dirname "$0")/.."
case " $* " in
    # What only tells needs nothing built.
    *" -h "* | *" --help "* | *" --list "*) ;;
    *)
        scripts/apt-tools.sh
        cargo build --locked --release
        ;;
esac
exec python3 -B tests/repositories/run.py "$@"
