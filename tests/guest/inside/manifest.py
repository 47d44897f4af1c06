"""Prints what a folder holds, as JSON by path; run at making a disk and after mounting it.

With --content only what every file system can keep is told: kind, size, hash.
"""

import hashlib
import json
import os
import stat
import sys

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFSOCK: "socket",
}

# What mkfs puts there itself, and what only root of the machine that made it could list.
OF_THE_FILE_SYSTEM = {"lost+found", "System Volume Information"}


def manifest(top, content_only):
    entries = {}
    first_names = {}
    for folder, folders, files in os.walk(os.fsencode(top)):
        folders[:] = [name for name in folders if os.fsdecode(name) not in OF_THE_FILE_SYSTEM]
        # os.walk reports a symlink to a folder as a folder, but does not follow it.
        for name in folders + files:
            path = os.path.join(folder, name)
            shown = printable(os.path.relpath(path, os.fsencode(top)))
            entries[shown] = entry(path, shown, first_names, content_only)
    return entries


def entry(path, shown, first_names, content_only):
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    facts = {"kind": kind}
    if kind == "file":
        facts.update(size=status.st_size, sha256=sha256(path))
    if content_only:
        return facts
    facts.update(
        mode=oct(stat.S_IMODE(status.st_mode)),
        owner=status.st_uid,
        group=status.st_gid,
        modified=status.st_mtime_ns,
        attributes={
            name: os.getxattr(path, name, follow_symlinks=False).hex()
            for name in sorted(os.listxattr(path, follow_symlinks=False))
        },
    )
    if kind == "symlink":
        facts["target"] = printable(os.readlink(path))
    if kind.endswith("device"):
        facts["device"] = [os.major(status.st_rdev), os.minor(status.st_rdev)]
    if kind == "file":
        facts["sparse"] = status.st_blocks * 512 < status.st_size // 2
        if status.st_nlink > 1:
            names = first_names.setdefault((status.st_dev, status.st_ino), [])
            names.append(shown)
            facts["links"] = status.st_nlink
            facts["same file"] = names
    return facts


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def printable(raw):
    return raw.decode("utf-8", "backslashreplace")


def main():
    content_only = "--content" in sys.argv[1:]
    (top,) = [word for word in sys.argv[1:] if not word.startswith("--")]
    entries = manifest(top, content_only)
    for facts in entries.values():
        if "same file" in facts:
            facts["same file"] = sorted(facts["same file"])
    json.dump(entries, sys.stdout, sort_keys=True)


if __name__ == "__main__":
    main()
