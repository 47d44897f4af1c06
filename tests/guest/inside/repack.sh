#!/bin/sh
# repack.sh FOLDER PACKAGE...: makes of installed packages, as they lie on this machine, a repository
# that apt can install them from again.
set -eu
repository=$1
shift
mkdir -p "$repository"

# cp looks for the folders above a file from where it stands.
cd /
for package in "$@"; do
    tree=$(mktemp -d)
    mkdir "$tree/DEBIAN"
    dpkg -L "$package" | while read -r path; do
        if [ -f "$path" ]; then cp -a --parents "$path" "$tree"; fi
    done
    for part in conffiles preinst postinst prerm postrm triggers; do
        if [ -f "/var/lib/dpkg/info/$package.$part" ]; then
            cp -p "/var/lib/dpkg/info/$package.$part" "$tree/DEBIAN/$part"
        fi
    done
    for field in Package Version Architecture Maintainer Pre-Depends Depends Description; do
        dpkg-query -W -f "$field: \${$field}\n" "$package" | grep -v ': $' || true
    done >"$tree/DEBIAN/control"
    dpkg-deb --build -Znone "$tree" "$repository/$package.deb" >/dev/null
    rm -r "$tree"
done

cd "$repository"
for deb in *.deb; do
    dpkg-deb --field "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' \
        "$deb" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d ' ' -f 1)"
done >Packages
rm -rf /etc/apt/sources.list.d/*
echo "deb [trusted=yes] file:$repository ./" >/etc/apt/sources.list
