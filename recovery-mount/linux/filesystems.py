"""The last layer: every device that no other layer took is a volume, mountable or with the reason why not."""

import collections
import struct

from devices import make_read_only, unique

# A way to mount a file system: kernel type, options beyond the ones that all have, the program that it needs, whether
# it is on overlays, and what is not seen this way.
Way = collections.namedtuple("Way", "type options program overlaid loss")


def way(fs, options="", program=None, overlaid=False, loss=None):
    return Way(fs, options, program, overlaid, loss)


NO_REPLAY = "its journal is not replayed, so what was written last may be missing or half there"
NO_LOG = "its log is not replayed, so what was written last is missing"
INCOMPLETE = "a member is missing, so some files may not be readable"

# In this order. A clean file system needs no overlay. With a journal to replay, a kernel mounts nothing from a
# read-only device, and so the overlay comes next; without one, what was written before the journal is better than
# nothing.
# An ext file system may say that the kernel is to panic at an error, and a server that is gone is one: not here.
EXT_ERRORS = "errors=continue"
EXT = (
    way("ext4", EXT_ERRORS),
    way("ext4", EXT_ERRORS, overlaid=True),
    way("ext4", EXT_ERRORS + ",noload", loss=NO_REPLAY),
)
WAYS = {
    "ext2": EXT,
    "ext3": EXT,
    "ext4": EXT,
    "xfs": (
        way("xfs", "nouuid"),
        way("xfs", "nouuid", overlaid=True),
        way("xfs", "norecovery,nouuid", loss=NO_REPLAY),
    ),
    "btrfs": (
        way("btrfs", "subvolid=5", overlaid=True),
        way("btrfs", "subvolid=5,degraded", overlaid=True, loss=INCOMPLETE),
        way("btrfs", "rescue=nologreplay,subvolid=5", loss=NO_LOG),  # since Linux 5.9
        way("btrfs", "nologreplay,subvolid=5", loss=NO_LOG),
    ),
    "ntfs": (way("ntfs3"), way("ntfs-3g", program="ntfs-3g"), way("ntfs")),
    "vfat": (way("vfat", "utf8=1"), way("vfat")),
    "exfat": (way("exfat"),),
    "iso9660": (way("iso9660"),),
    "udf": (way("udf"),),
    "squashfs": (way("squashfs"),),
}

# What is no file system by itself: what it is, and what to do.
CONTAINERS = {
    "LVM1_member": "is part of an LVM volume group of the first format, which no kernel of today opens",
    "isw_raid_member": "is part of a RAID array of a disk controller, which this script does not assemble",
    "ddf_raid_member": "is part of a RAID array of a disk controller, which this script does not assemble",
    "zfs_member": "is part of a ZFS pool, which this script does not import: attach the disks with `itemlift tunnel` "
    "on a machine that has ZFS",
    "bcache": "is a bcache device, which this script does not open",
    "drbd": "is a DRBD device, which this script does not open",
    "VMFS": "is a VMFS datastore, which holds VMs and no files of this one",
    "jbd": "is the journal of another file system",
    "xfs_external_log": "is the journal of another file system",
}
# The superblock of ext2 to ext4 (ext4(5), linux/fs/ext4/ext4.h): of the bits of s_feature_compat and
# s_feature_incompat, the one for a journal and the one for a journal that has to be replayed.
EXT_SUPERBLOCK_AT = 1024
EXT_SUPERBLOCK_BYTES = 1024
HAS_JOURNAL = 4
NEEDS_RECOVERY = 4
JOURNALS = ("jbd", "xfs_external_log")
JOURNAL_ELSEWHERE = "has its journal on another device, which this script does not join to it"

# Whether it is on another device, and whether it is known to hold what has to be replayed.
Journal = collections.namedtuple("Journal", "elsewhere replays")


class Volume:
    """One line of the table; `name` is given to those that can be mounted."""

    def __init__(self, devices, fs, label, wanted, reason=None):
        self.devices = devices
        self.fs = fs
        self.label = label
        self.wanted = wanted  # whether it holds files, so that not mounting it is worth an exit status
        self.reason = reason
        self.replays = False  # whether it is known to have something to replay before it is mounted
        self.name = None
        self.path = None
        self.mounted = False
        self.remark = None  # what a mounted volume does not show
        self.prepared = None  # the overlays on which a btrfs has an id of its own
        self.problem = None  # why it has none

    def is_mountable(self):
        return self.wanted and self.reason is None

    def report(self):
        """The volume as it stands in the JSON report."""
        return {
            "name": self.name,
            "disk": " + ".join(unique(device.disk for device in self.devices)),
            "source": " + ".join(unique(device.source for device in self.devices)),
            "fs": self.fs,
            "label": self.label,
            "size": sum(device.size for device in self.devices),
            "path": self.path,
            "mounted": self.mounted,
            "reason": self.remark if self.mounted else self.reason,
        }


class FileSystems:
    """Claims everything."""

    def claims(self, host, device):
        return True

    def open(self, host, devices):
        volumes = []
        members = {}  # btrfs over several devices is one volume
        for device in devices:
            make_read_only(host, device)
            found = device.probe(host)
            if found.type == "btrfs" and found.uuid in members:
                members[found.uuid].devices.append(device)
                continue
            volume = volume_of(host, device, found)
            volumes.append(volume)
            if found.type == "btrfs":
                members[found.uuid] = volume
        return [], volumes


def volume_of(host, device, found):
    if found.problem is not None:
        return Volume([device], None, None, True, found.problem)
    if found.type is None:
        return Volume([device], None, None, False, "holds no file system")
    if found.type in ("swap", "swsuspend"):
        return Volume([device], found.type, found.label, False, "swap space: nothing to mount")
    if found.type in CONTAINERS:
        return Volume([device], found.type, found.label, found.type not in JOURNALS, CONTAINERS[found.type])
    if found.type not in WAYS:
        return Volume([device], found.type, found.label, True, "is a file system that this script does not mount")
    journal = journal_of(host, device, found.type)
    volume = Volume([device], found.type, found.label, True, JOURNAL_ELSEWHERE if journal.elsewhere else None)
    volume.replays = journal.replays
    return volume


def journal_of(host, device, fs):
    """What a file system says of its journal."""
    if fs in ("ext3", "ext4"):
        block = host.read_bytes(device.path, EXT_SUPERBLOCK_AT, EXT_SUPERBLOCK_BYTES) or b""
        if len(block) == EXT_SUPERBLOCK_BYTES:
            compat, incompat = struct.unpack_from("<II", block, 0x5C)
            # It has a journal, and no inode for it (s_journal_inum).
            elsewhere = bool(compat & HAS_JOURNAL) and struct.unpack_from("<I", block, 0xE0) == (0,)
            return Journal(elsewhere, bool(incompat & NEEDS_RECOVERY))
    elif fs == "xfs":
        # sb_logstart is 0 when the log is elsewhere.
        block = host.read_bytes(device.path, 0, 512) or b""
        return Journal(len(block) == 512 and struct.unpack_from(">Q", block, 48) == (0,), False)
    return Journal(False, False)


def ways_of(volume):
    """The ways to try. Where it is known that there is something to replay, the device alone is not enough."""
    return [each for each in WAYS[volume.fs] if each.overlaid or each.loss or not volume.replays]


def unopened(members, kind, reason):
    """What these devices are part of and why it is not opened, as one line of the table."""
    return Volume(members, kind, None, True, reason)
