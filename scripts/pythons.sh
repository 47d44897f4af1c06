#!/usr/bin/env bash
# The mount script's unit tests under each Python that it is held to: scripts/pythons.sh [VERSION...].
# Takes them from pyenv, which installs what is missing (3.6 is in no package registry any more).
set -euo pipefail
if [[ ${1-} == -h || ${1-} == --help ]]; then
    sed -n '2,3s/^# \{0,1\}//p' "$0"
    exit
fi
cd "$(dirname "$0")/.."

# The first and the last that the script is for, and what Debian's oldest and current releases have.
PYTHONS=(3.6.15 3.9.18 3.11.7 3.13.0)
PYENV=${PYENV_ROOT:-$HOME/.pyenv}

main() {
    local version python
    [[ $# -gt 0 ]] || set -- "${PYTHONS[@]}"
    for version in "$@"; do
        python=$PYENV/versions/$version/bin/python3
        [[ -x $python ]] || install "$version"
        echo "== Python $version, $("$python" -c 'import ssl; print(ssl.OPENSSL_VERSION)')"
        (cd recovery-mount/linux && "$python" -B -W ignore -m unittest discover --start-directory tests)
    done
    echo "${#} passed, 0 failed"
}

install() {
    command -v pyenv >/dev/null || {
        echo "pythons.sh: Python $1 is missing, and pyenv, which would install it, is too" >&2
        exit 1
    }
    echo "pythons.sh: installing Python $1 with pyenv"
    pyenv install --skip-existing "$1"
}

main "$@"
