#!/usr/bin/env bash
# Installs, by apt, the tools that the tests need and that are missing, and says which.
# Does nothing, and needs no root, when all are there.
set -euo pipefail

# Package, and the command, file or Python module that shows it is there.
TOOLS=(
    qemu-system-x86:qemu-system-x86_64
    qemu-utils:qemu-img
    qemu-block-extra:/usr/lib/x86_64-linux-gnu/qemu/block-iscsi.so
    mmdebstrap:mmdebstrap
    e2fsprogs:mkfs.ext4
    libiscsi-bin:iscsi-test-cu
    tgt:tgtd
    stunnel4:stunnel4
    openssl:openssl
    restic:restic
    strace:strace
    rclone:rclone
    ceph-mon:ceph-mon
    ceph-osd:ceph-osd
    radosgw:radosgw
    nodejs:node
    npm:npm
    openssh-client:ssh
    shellcheck:shellcheck
    python3:python3
    python3-venv:module=ensurepip
)
# These share one source package and cannot be mixed.
QEMU=(qemu-system-x86 qemu-utils qemu-block-extra)

# Packages such as tgt would start a server at once; nothing here needs a running one.
export DEBIAN_FRONTEND=noninteractive
# /usr/sbin may not be in the path of a plain user.
PATH=$PATH:/usr/sbin:/sbin

main() {
    local missing=() entry
    for entry in "${TOOLS[@]}"; do
        is_there "${entry#*:}" || missing+=("${entry%%:*}")
    done
    if [[ ${#missing[@]} -eq 0 ]]; then
        echo "apt-tools: all tools are there"
        return
    fi
    echo "apt-tools: missing: ${missing[*]}"
    can_install "${missing[@]}"
    apt-get update -q
    install "${missing[@]}"
    for entry in "${TOOLS[@]}"; do
        is_there "${entry#*:}" || fail "${entry%%:*} is installed, but ${entry#*:} is still missing"
    done
    echo "apt-tools: installed ${missing[*]}"
}

is_there() {
    case "$1" in
        module=*) python3 -c "import ${1#module=}" 2>/dev/null ;;
        /*) [[ -e $1 ]] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

can_install() {
    command -v apt-get >/dev/null ||
        fail "this machine has no apt-get; install these by hand, under whatever names it has for them: $*"
    [[ $EUID -eq 0 ]] || fail "installing needs root: run \`sudo scripts/apt-tools.sh\`, or install $*"
}

install() {
    local wanted=("$@") package
    for package in "${QEMU[@]}"; do
        if [[ " ${wanted[*]} " == *" $package "* ]]; then
            pin_qemu
            break
        fi
    done
    echo "apt-tools: apt-get install ${wanted[*]}"
    # Downgrades: only of QEMU's packages, where a newer qemu-utils from elsewhere is in the way.
    apt-get install -q -y --no-install-recommends --allow-downgrades "${wanted[@]}"
}

# Puts all of QEMU's packages at the version that qemu-system-x86 has: where a newer qemu-utils was
# installed from another suite, asking for the missing one alone cannot be satisfied.
pin_qemu() {
    local version package
    version=$(apt-cache madison qemu-system-x86 | awk 'NR == 1 {print $3}')
    [[ -n $version ]] || fail "apt offers no qemu-system-x86"
    local others=()
    for package in "${wanted[@]}"; do
        [[ " ${QEMU[*]} " == *" $package "* ]] || others+=("$package")
    done
    wanted=("${others[@]}" "${QEMU[@]/%/=$version}")
}

fail() {
    echo "apt-tools: $*" >&2
    exit 1
}

main
