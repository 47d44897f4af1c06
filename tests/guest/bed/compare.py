"""Holds the files of a mounted volume against the manifest from when its disk was made."""

import json

PROGRAM = "/usr/local/lib/guest/manifest.py"

# File systems that keep neither owners nor modes: their files are compared by content.
CONTENT_ONLY = {"vfat", "fat", "ntfs", "ntfs3", "fuseblk", "exfat", "msdos"}

SHOWN_DIFFERENCES = 8


def differences(shell, path, file_system, expected):
    """What is not as in the manifest, one line each; empty when all is equal."""
    flags = ["--content"] if file_system in CONTENT_ONLY else []
    found = json.loads(shell.must("python3", PROGRAM, *flags, path, limit=120))
    lines = []
    for name in sorted(set(expected) | set(found)):
        was, now = expected.get(name), found.get(name)
        if was is None or now is None:
            lines.append(f"{name}: {'missing' if now is None else 'not in the manifest'}")
        elif was != now:
            facts = [
                f"{fact} {was.get(fact)} -> {now.get(fact)}"
                for fact in was
                if was[fact] != now.get(fact)
            ]
            lines.append(f"{name}: {'; '.join(facts)}")
    if len(lines) > SHOWN_DIFFERENCES:
        lines[SHOWN_DIFFERENCES:] = [f"and {len(lines) - SHOWN_DIFFERENCES} more"]
    return lines
