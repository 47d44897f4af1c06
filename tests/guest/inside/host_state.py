"""Prints, as JSON, what of this host a mount could leave changed: section -> sorted lines.

Two of these, taken before and after, are compared. `host_state.py FOLDER…` lists those too.
"""

import glob
import hashlib
import json
import os
import re
import sys

# Folders whose files are listed by name: none of them may gain or lose one.
LISTED = [
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/lib",
    "/var/log",
    "/dev/shm",
    "/dev/mapper",
    "/dev/md",
    "/dev/disk",
    "/root",
    "/mnt",
    "/media",
]

# Files in which the system's own tools note what they did; they come and go with any disk.
NOTED_BY_TOOLS = (
    "/run/udev/",
    "/run/mount",
    "/run/blkid",
    "/run/lock",
    "/run/cryptsetup",
    "/run/lvm",
    "/root/.cache",
    # Numbers that the kernel counts up with each disk.
    "/dev/disk/by-diskseq",
)

# udev keeps its rules beside its notes: these are looked at all the same.
RULES = "/run/udev/rules.d"


def mounts():
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            yield f"{after.split()[1]} on {before.split()[4]} type {after.split()[0]}"


def block_devices():
    for path in glob.glob("/sys/block/*"):
        name = os.path.basename(path)
        backing = first_line(path + "/loop/backing_file") or first_line(path + "/dm/name")
        # An unused loop device is no more than a door.
        if backing or not name.startswith(("loop", "ram")):
            yield f"{name} {backing}".strip()


def iscsi():
    for kind in ("iscsi_session", "iscsi_connection", "iscsi_host"):
        for path in glob.glob(f"/sys/class/{kind}/*"):
            yield "{} {}".format(os.path.basename(path), first_line(path + "/targetname")).strip()


def processes():
    for path in glob.glob("/proc/[0-9]*"):
        pid = int(os.path.basename(path))
        try:
            with open(path + "/cmdline", "rb") as file:
                words = file.read().split(b"\0")
            parent = int(first_line(path + "/stat").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        command = b" ".join(words).decode("utf-8", "replace").strip()
        # Kernel threads have no command line; udev's workers, children of its daemon, come and go.
        if (
            command
            and pid != os.getpid()
            and parent != os.getpid()
            and not (re.search("systemd-udevd|udev-worker", command) and parent != 1)
        ):
            yield f"{pid} {command[:200]}"


def listening():
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as lines:
            for line in lines:
                fields = line.split()
                if fields[3] == "0A":
                    yield "port {}".format(int(fields[1].split(":")[-1], 16))


def configuration():
    for path in walk("/etc"):
        yield f"{path} {content_hash(path)}"


def files(folders):
    for folder in LISTED + folders:
        for path in walk(folder):
            if not path.startswith(NOTED_BY_TOOLS):
                yield path


def udev_rules():
    for path in walk(RULES):
        yield f"{path} {content_hash(path)}"


def walk(top):
    for folder, folders, names in os.walk(top):
        for name in folders + names:
            yield os.path.join(folder, name)


def content_hash(path):
    if os.path.islink(path):
        return os.readlink(path)
    if not os.path.isfile(path):
        return "folder"
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def first_line(path):
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return ""


def main():
    folders = sys.argv[1:]
    state = {
        "mounts": mounts(),
        "block devices": block_devices(),
        "iSCSI": iscsi(),
        "processes": processes(),
        "listening": listening(),
        "configuration": configuration(),
        "udev rules": udev_rules(),
        "files": files(folders),
    }
    json.dump({section: sorted(set(lines)) for section, lines in state.items()}, sys.stdout)


if __name__ == "__main__":
    main()
