"""The machine's own tree: where a root file system with /etc/fstab is among the volumes, the others are put to the
places in it that they had, below VM-POINT/root.

What a backup holds steers nothing outside: no link of it is followed, neither on the way to /etc/fstab nor to a mount
point, and its fstab is read for names alone.
"""

import collections
import os
import re
import stat

from mounting import MOUNT_TIMEOUT

TREE_NAME = "root"
FSTAB_MAX_BYTES = 1 << 20
MAX_FSTAB_ENTRIES = 1024
# Where distributions keep the root on btrfs.
ROOT_SUBVOLUMES = ("", "@", "@rootfs", "root", "@/.snapshots/1/snapshot")

Entry = collections.namedtuple("Entry", "device place options")


def build_trees(host, state, volumes):
    """Puts a tree together for each root file system that was mounted; returns the paths of the trees."""
    mounted = [volume for volume in volumes if volume.mounted]
    trees = []
    for volume in mounted:
        base, text = root_of(host, volume)
        if text is None:
            continue
        number = len(trees) + 1
        path = os.path.join(state["folder"], TREE_NAME if number == 1 else "{}{}".format(TREE_NAME, number))
        state.add("folders", path)
        if not host.make_folder(path) or not bind(host, state, base, path):
            continue
        for entry in sorted(parse_fstab(text), key=lambda entry: entry.place.count("/")):
            place_entry(host, state, mounted, entry, path)
        trees.append(path)
    return trees


def root_of(host, volume):
    """(the folder that is the root of a machine, its fstab) if the volume has one, else (None, None)."""
    for subvolume in ROOT_SUBVOLUMES if volume.fs == "btrfs" else ROOT_SUBVOLUMES[:1]:
        base = real_folder(host, volume.path, subvolume)
        etc = base and real_folder(host, base, "etc")
        fstab = etc and os.path.join(etc, "fstab")
        if fstab and stat.S_ISREG(mode_of(host, fstab)):
            text = host.read_bytes(fstab, 0, FSTAB_MAX_BYTES)
            if text is not None:
                return base, os.fsdecode(text)
    return None, None


def parse_fstab(text):
    """The entries that name a device and a place below the root; fstab(5)."""
    entries = []
    for line in text.splitlines()[:MAX_FSTAB_ENTRIES]:
        fields = [unoctal(field) for field in line.split()]
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        place = os.path.normpath(fields[1])
        if place.startswith("/") and place != "/" and not place.startswith("//"):
            entries.append(Entry(fields[0], place, fields[3].split(",") if len(fields) > 3 else []))
    return entries


def unoctal(field):
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)


def place_entry(host, state, mounted, entry, tree):
    """Puts the volume of one entry to its place, if both are there."""
    volume = next((volume for volume in mounted if is_called(host, volume, entry.device)), None)
    place = real_folder(host, tree, entry.place.lstrip("/"))
    if volume is None or place is None:
        return
    subvolume = next((option[len("subvol=") :] for option in entry.options if option.startswith("subvol=")), "")
    source = real_folder(host, volume.path, subvolume.lstrip("/") if volume.fs == "btrfs" else "")
    if source is not None:
        bind(host, state, source, place)


def bind(host, state, source, place):
    """Shows a folder at another place, as read-only as it is; what is mounted below it there is seen nowhere else."""
    state.add("mounts", place)
    if host.run(["mount", "--bind", "--", source, place], MOUNT_TIMEOUT).status != 0:
        return False
    host.run(["mount", "--make-private", "--", place], MOUNT_TIMEOUT)
    return True


def is_called(host, volume, name):
    """Whether fstab means this volume by the name."""
    device = volume.devices[0]
    found = device.probe(host)
    kind, equals, value = name.partition("=")
    if equals:
        value = value.strip("\"'")
        facts = {"UUID": found.uuid, "LABEL": found.label, "PARTUUID": found.part_uuid, "PARTLABEL": found.part_label}
        return facts.get(kind) is not None and same(kind, facts[kind], value)
    for folder, fact in (("by-uuid", found.uuid), ("by-label", found.label), ("by-partuuid", found.part_uuid)):
        if name.startswith("/dev/disk/{}/".format(folder)):
            return fact is not None and name.rsplit("/", 1)[1].lower() == fact.lower()
    return name in names_of(device)


def same(kind, fact, value):
    return fact == value if "LABEL" in kind else fact.lower() == value.lower()


def names_of(device):
    """The paths that a device had on its machine, as far as its place tells."""
    if device.source.startswith("LV "):
        group, logical = device.source[3:].split("/", 1)
        mapped = "{}-{}".format(group.replace("-", "--"), logical.replace("-", "--"))
        return ["/dev/{}/{}".format(group, logical), "/dev/mapper/" + mapped]
    level, _, array = device.source.partition(" ")
    if level.startswith("raid") and array:
        array = array.rpartition(":")[2]
        return ["/dev/md/" + array, "/dev/" + array, "/dev/md" + array]
    match = re.match(r"^partition ([0-9]+)$", device.source)
    if match is None or device.order[0] >= 26:
        return []
    letter = "abcdefghijklmnopqrstuvwxyz"[device.order[0]]
    names = ["/dev/{}{}{}".format(bus, letter, match.group(1)) for bus in ("sd", "vd", "xvd", "hd")]
    return names + ["/dev/nvme{}n1p{}".format(device.order[0], match.group(1))]


def real_folder(host, base, path):
    """A folder below the base that is reached without a link, or None."""
    for piece in path.split("/"):
        if piece in ("", "."):
            continue
        base = os.path.join(base, piece)
        if piece == ".." or not stat.S_ISDIR(mode_of(host, base)):
            return None
    return base


def mode_of(host, path):
    """The mode of what is there itself, links not followed; 0 if there is nothing."""
    try:
        return os.lstat(host.at(path)).st_mode
    except OSError:
        return 0
