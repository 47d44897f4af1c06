"""The last layer: every device that no other layer took is a volume, mountable or with the reason why not."""

import collections

from devices import make_read_only

# Each way to mount a file system: kernel type, options beyond the ones that all have, program that it needs.
Way = collections.namedtuple("Way", "type options program")

# No way may write to the device or ask it for a journal that it cannot replay.
EXT = (Way("ext4", "noload", None),)
WAYS = {
    "ext2": EXT,
    "ext3": EXT,
    "ext4": EXT,
    "xfs": (Way("xfs", "norecovery,nouuid", None),),
    "btrfs": (
        Way("btrfs", "rescue=nologreplay,subvolid=5", None),  # since Linux 5.9
        Way("btrfs", "nologreplay,subvolid=5", None),
    ),
    "ntfs": (Way("ntfs3", "", None), Way("ntfs-3g", "", "ntfs-3g"), Way("ntfs", "", None)),
    "vfat": (Way("vfat", "utf8=1", None), Way("vfat", "", None)),
    "exfat": (Way("exfat", "", None),),
    "iso9660": (Way("iso9660", "", None),),
    "udf": (Way("udf", "", None),),
    "squashfs": (Way("squashfs", "", None),),
}

# What is no file system by itself: what it is, and what to do.
CONTAINERS = {
    "LVM2_member": "is part of an LVM volume group, which this script does not open; read it with itemlift tunnel",
    "linux_raid_member": "is part of a RAID array, which this script does not open; read it with itemlift tunnel",
    "crypto_LUKS": "is encrypted (LUKS), which this script does not open; read it with itemlift tunnel",
    "BitLocker": "is encrypted (BitLocker), which this script does not open; read it with itemlift tunnel",
    "zfs_member": "is part of a ZFS pool, which this script does not open; read it with itemlift tunnel",
    "jbd": "is the journal of another file system",
}


class Volume:
    """One line of the table; `name` is given to those that can be mounted."""

    def __init__(self, devices, fs, label, wanted, reason=None):
        self.devices = devices
        self.fs = fs
        self.label = label
        self.wanted = wanted  # whether it holds files, so that not mounting it is worth an exit status
        self.reason = reason
        self.name = None
        self.path = None
        self.mounted = False

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
            "reason": self.reason,
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
        return Volume([device], found.type, found.label, found.type != "jbd", CONTAINERS[found.type])
    if found.type not in WAYS:
        return Volume([device], found.type, found.label, True, "is a file system that this script does not mount")
    if found.type == "btrfs" and host.exists("/sys/fs/btrfs/{}".format(found.uuid)):
        reason = "this machine has a btrfs file system of the same id mounted; run the script on another machine"
        return Volume([device], found.type, found.label, True, reason)
    return Volume([device], found.type, found.label, True)


def unique(words):
    return list(collections.OrderedDict.fromkeys(words))
