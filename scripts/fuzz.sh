#!/usr/bin/env bash
# Builds the fuzz targets of iscsi-proto/fuzz and disk-image/fuzz and runs each for a time; fails when one finds something.
#
#   scripts/fuzz.sh [--jobs N] [SECONDS] [TARGET...]   20 s each, all targets, one after the other
#   scripts/fuzz.sh --prove [SECONDS] [TARGET...]      plants each target's fault; it must be found (120 s)
#   scripts/fuzz.sh --list                             the targets
#
# What is found stays in target/fuzz/artifacts, what was learned in target/fuzz/corpus: the next run goes on
# from there. Needs a nightly compiler (`rustup toolchain install nightly`); installs cargo-fuzz into
# target/fuzz-tools when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

CARGO_FUZZ=0.13.2
CRATES=(iscsi-proto/fuzz disk-image/fuzz)
WORK=target/fuzz
ARTIFACTS=$WORK/artifacts
# Bytes of the longest input, for each target: past it, inputs get slower and not better.
declare -A MAX_LEN=([framing]=16384 [pdu]=384 [text]=17000 [login]=16384 [chap]=4096 [cdb]=2048 [session]=1024
    [qcow2]=256 [vhd]=256 [vhdx]=256 [vmdk]=256)
TARGETS=(framing pdu text login chap cdb session qcow2 vhd vhdx vmdk)
# Seconds for one input, megabytes for one process: more is a fault. The seconds go on while others have the processor.
INPUT_SECONDS=120
MEMORY_MB=1024

main() {
    local jobs=1 mode=run
    while [[ ${1-} == -* ]]; do
        case "$1" in
            --list) printf '%s\n' "${TARGETS[@]}"; return ;;
            --prove) mode=prove ;;
            --jobs) jobs=${2-}; shift ;;
            -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0"; return ;;
            *) usage "there is no option '$1'" ;;
        esac
        shift
    done
    [[ $jobs =~ ^[1-9][0-9]*$ ]] || usage "--jobs takes a number"
    local seconds=20
    [[ $mode == run ]] || seconds=120
    if [[ ${1-} =~ ^[1-9][0-9]*$ ]]; then
        seconds=$1
        shift
    fi
    local target
    for target in "$@"; do
        [[ -n ${MAX_LEN[$target]-} ]] || usage "there is no target '$target'; the targets are: ${TARGETS[*]}"
    done
    [[ $# -gt 0 ]] || set -- "${TARGETS[@]}"
    tools
    seed "$@"
    "$mode" "$seconds" "$jobs" "$@"
}

usage() {
    echo "scripts/fuzz.sh: $1" >&2
    exit 2
}

tools() {
    if ! cargo +nightly --version >/dev/null 2>&1; then
        echo "scripts/fuzz.sh: fuzzing needs a nightly compiler: rustup toolchain install nightly" >&2
        exit 1
    fi
    export PATH=$PWD/target/fuzz-tools/bin:$PATH
    if [[ $(cargo-fuzz --version 2>/dev/null) != "cargo-fuzz $CARGO_FUZZ" ]]; then
        echo "installing cargo-fuzz $CARGO_FUZZ into target/fuzz-tools"
        cargo install --quiet cargo-fuzz --locked --version "$CARGO_FUZZ" --root target/fuzz-tools
    fi
}

# build FOLDER_OF_THE_CRATE FOLDER_FOR_THE_PROGRAMS [TARGET]. No sanitizer: our crates forbid unsafe code, and without
# one there are several times more runs. Overflow checks and debug assertions are on.
build() {
    cargo +nightly fuzz build --sanitizer none --fuzz-dir "$1" --target-dir "$2" ${3:+"$3"} 2>"$WORK/build.log" || {
        cat "$WORK/build.log" >&2
        exit 1
    }
}

# The crate that has a target.
crate_of() {
    local crate
    for crate in "${CRATES[@]}"; do
        [[ ! -e $crate/fuzz_targets/$1.rs ]] || echo "$crate"
    done
}

program() {
    echo "$1/$(rustc +nightly -vV | sed -n 's/^host: //p')/release/$2"
}

# Inputs to begin with; those of iscsi-proto are made from the captured dialogues of iscsi-proto/tests/vectors.
seed() {
    mkdir -p "$ARTIFACTS"
    python3 -B "${CRATES[0]}/seeds.py" iscsi-proto/tests/vectors "$WORK/seeds"
    local target
    for target in "$@"; do
        mkdir -p "$WORK/corpus/$target" "$WORK/seeds/$target"
    done
}

# fuzz PROGRAM TARGET SECONDS LOG CORPUS...
fuzz() {
    local program=$1 target=$2 seconds=$3 log=$4
    shift 4
    "$program" -max_total_time="$seconds" -max_len="${MAX_LEN[$target]}" -timeout="$INPUT_SECONDS" \
        -rss_limit_mb="$MEMORY_MB" -artifact_prefix="$ARTIFACTS/$target-" -print_final_stats=1 \
        "$@" >"$log" 2>&1
}

run() {
    local seconds=$1 jobs=$2
    shift 2
    echo "building"
    local target crate failed=0
    for crate in "${CRATES[@]}"; do
        for target in "$@"; do
            [[ $(crate_of "$target") == "$crate" ]] || continue
            build "$crate" "$WORK/build"
            break
        done
    done
    printf '%-9s %12s %9s %9s %10s %9s  %s\n' target executions exec/s 'CPU s' coverage inputs result
    for target in "$@"; do
        while [[ $(jobs -rp | wc -l) -ge $jobs ]]; do
            wait -n || true
        done
        one "$target" "$seconds" &
    done
    wait
    for target in "$@"; do
        [[ -e $WORK/$target.passed ]] || failed=1
    done
    return "$failed"
}

# Runs one target and prints its row.
one() {
    local target=$1 seconds=$2 log=$WORK/$1.log passed=$WORK/$1.passed used=$WORK/$1.cpu program result=passed
    local TIMEFORMAT=%U
    program=$(program "$WORK/build" "$target")
    rm -f "$passed"
    if { time fuzz "$program" "$target" "$seconds" "$log" "$WORK/corpus/$target" "$WORK/seeds/$target"; } 2>"$used"; then
        : >"$passed"
    else
        result=$(found "$target" "$program" "$log")
    fi
    printf '%-9s %12s %9s %9s %10s %9s  %s\n' "$target" \
        "$(stat_of number_of_executed_units "$log")" "$(stat_of average_exec_per_sec "$log")" "$(<"$used")" \
        "$(growth "$log")" "$(stat_of new_units_added "$log")" "$result"
}

stat_of() {
    sed -n "s/^stat::$1: *//p" "$2" | tail -1
}

# Edges reached with the inputs that were there, and how many more this run reached.
growth() {
    grep -o 'cov: [0-9]*' "$1" | awk 'NR == 1 {first = $2} {last = $2} END {printf "%d+%d", first, last - first}'
}

# Says what was found, and how to see it again.
found() {
    local target=$1 program=$2 log=$3 artifact
    artifact=$(sed -n 's/.*Test unit written to //p' "$log" | tail -1)
    {
        echo "FAILED: $(grep -A1 -m1 'panicked at\|ERROR: libFuzzer' "$log" | tr '\n' ' ')"
        echo "    input: ${artifact:-none was kept, see $log}"
        [[ -z $artifact ]] || echo "    again: $program $artifact"
    }
}

# Each target on a copy of the sources that has its planted fault.
prove() {
    local seconds=$1 target crate failed=0 copy=$WORK/fault
    ARTIFACTS=$WORK/fault-artifacts
    mkdir -p "$ARTIFACTS"
    shift 2
    printf '%-9s %-9s %8s  %s\n' target found seconds 'planted fault'
    for target in "$@"; do
        crate=$(crate_of "$target")
        local patch=$crate/faults/$target.patch before log=$WORK/fault-$target.log result=found
        rm -rf "$copy" && mkdir -p "$copy" "$WORK/fault-corpus/$target"
        git ls-files -z Cargo.toml Cargo.lock chap disk-image iscsi-proto | xargs -0 cp --parents -t "$copy"
        # The copy is a workspace of the crates that are fuzzed alone.
        sed -i '/^\[package\]/,$d; s/^members = .*/members = ["chap", "disk-image", "iscsi-proto"]/; /^recovery-mount = /d' \
            "$copy/Cargo.toml"
        patch --quiet --strip=1 --directory="$copy" <"$patch"
        build "$copy/$crate" "$WORK/build-fault" "$target"
        before=$SECONDS
        rm -rf "$WORK/fault-corpus/${target:?}"/*
        if fuzz "$(program "$WORK/build-fault" "$target")" "$target" "$seconds" "$log" \
            "$WORK/fault-corpus/$target" "$WORK/seeds/$target"; then
            result=MISSED
            failed=1
        fi
        printf '%-9s %-9s %8s  %s\n' "$target" "$result" "$((SECONDS - before))" "$(sed -n '1s/^# //p' "$patch")"
    done
    rm -rf "$copy"
    return "$failed"
}

main "$@"
