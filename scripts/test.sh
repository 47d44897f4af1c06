#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lints, docs, unit and
# integration tests, fuzzing, libiscsi and load against the release binary, restic
# repositories on a folder and on Ceph's S3, the mount script and open-iscsi in a Debian
# guest; scripts/guest.sh --all has the long scenarios too, and other releases of Debian,
# scripts/pythons.sh other Pythons, scripts/repositories.sh all stores. Installs what is
# missing with apt. `scripts/test.sh STEP...` runs only the steps named;
# `scripts/test.sh --list` names them.
set -euo pipefail
cd "$(dirname "$0")/.."

STEPS=(tools format lint docs unit script fuzz release demo interop repositories guest)
started=$SECONDS

main() {
    case "${1-}" in
        --list) printf '%s\n' "${STEPS[@]}"; return ;;
        -h | --help) sed -n '2,8s/^# \{0,1\}//p' "$0"; return ;;
    esac
    local step
    for step in "$@"; do
        [[ " ${STEPS[*]} " == *" $step "* ]] || {
            echo "scripts/test.sh: there is no step '$step'; the steps are: ${STEPS[*]}" >&2
            exit 2
        }
    done
    [[ $# -gt 0 ]] || set -- "${STEPS[@]}"
    for step in "$@"; do
        run "$step"
    done
    echo "all steps passed in $((SECONDS - started)) s: $*"
}

run() {
    local before=$SECONDS
    echo "== $1"
    "step_$1"
    echo "== $1: $((SECONDS - before)) s"
}

step_tools() {
    scripts/apt-tools.sh
    # ruff comes from PyPI; a folder of its own keeps it away from the system's Python.
    if ! [[ -x target/python-tools/bin/ruff ]]; then
        echo "installing ruff into target/python-tools"
        python3 -m venv target/python-tools
        target/python-tools/bin/pip install --quiet --disable-pip-version-check ruff==0.17.5
    fi
}

step_format() {
    cargo fmt --all --check
    target/python-tools/bin/ruff format --check .
}

step_lint() {
    cargo clippy --locked --workspace --all-targets -- -D warnings
    target/python-tools/bin/ruff check .
    git ls-files '*.sh' .ci/run | xargs shellcheck
}

step_docs() {
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
}

step_unit() {
    cargo test --locked --workspace
}

step_script() {
    (cd recovery-mount/linux && python3 -B -m unittest discover --start-directory tests)
}

# The fuzz targets are a workspace of their own, for the nightly compiler.
step_fuzz() {
    local crate
    for crate in iscsi-proto disk-image; do
        cargo fmt --manifest-path "$crate/fuzz/Cargo.toml" --check
        # Nothing is linked here, so libFuzzer need not be compiled: any file will do for it.
        CUSTOM_LIBFUZZER_PATH=$PWD/README.md cargo clippy --locked --manifest-path "$crate/fuzz/Cargo.toml" \
            --target-dir target/fuzz/lint --all-targets -- -D warnings
        # What scripts/fuzz.sh --prove plants, which takes too long here, has to fit the sources all the same.
        local fault
        for fault in "$crate"/fuzz/faults/*.patch; do
            patch --quiet --strip=1 --dry-run <"$fault"
        done
    done
    scripts/fuzz.sh --jobs "$(nproc)" 20
}

step_release() {
    cargo build --locked --release
}

step_demo() {
    # Half a minute is what a newcomer is told.
    timeout 30 target/release/itemlift demo --once
}

step_interop() {
    python3 tests/interop/run.py
    python3 tests/interop/load.py
}

# A folder, and Ceph's S3 with faults on the way; scripts/repositories.sh has all stores and cases.
step_repositories() {
    python3 -B tests/repositories/run.py --quick
}

step_guest() {
    scripts/guest.sh --ci
}

main "$@"
