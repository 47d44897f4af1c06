"""Block devices as the kernel shows them, and what low-level probing finds on them."""

import collections
import contextlib
import os
import re
import threading

PROBE_TIMEOUT = 60
PROBES_AT_ONCE = 4
# Where nearly all that probing looks for is: superblocks and tables at the begin, those of RAID at the end. Bytes.
LOOKED_AT_HEAD, LOOKED_AT_TAIL = 264 << 10, 64 << 10
SECTOR = 512  # sysfs counts in these whatever the device's own sectors are

# What is found on a device: file-system or container type, what it is used for, label, UUID, those of its partition,
# the type of its partition table.
Found = collections.namedtuple("Found", "type usage label uuid part_uuid part_label table problem")
NOTHING = Found(None, None, None, None, None, None, None, None)


class Device:
    """One block device of the recovery point: a disk, a partition, or what a layer made of others."""

    def __init__(self, path, disk, source, size, order=(0,)):
        self.path = path
        self.disk = disk  # the disk's name in the backup
        self.source = source  # where on the disk, in words
        self.size = size  # bytes
        self.order = order  # place among the others: its disk's LUN, then one number for each layer
        self.writable = False  # whether it is made of overlays
        self.found = None

    @property
    def name(self):
        return self.path.rsplit("/", 1)[1]

    @property
    def folder(self):
        return "/sys/class/block/" + self.name

    def probe(self, host):
        """Looks once what is on the device."""
        if self.found is None:
            self.found = probe(host, self.path)
        return self.found


def disk_devices(host, plan, names):
    """The plan's disks as devices; `names` is {LUN: kernel name}."""
    return [
        Device("/dev/" + names[disk["lun"]], disk["name"], "whole disk", disk["size"], (disk["lun"],))
        for disk in plan["disks"]
        if disk["lun"] in names
    ]


def partitions(host, device):
    """The partitions of a disk in the order of their numbers: [(number, kernel name, size in bytes)]."""
    found = []
    for name in host.names(device.folder):
        number = host.read("{}/{}/partition".format(device.folder, name))
        if number is not None and number.isdigit():
            found.append((int(number), name, size_of(host, name)))
    return sorted(found)


def joined(members, path, source, size, number):
    """A device that a layer has made of these; `number` is its place among those that were made of them."""
    disks = " + ".join(unique(member.disk for member in members))
    device = Device(path, disks, source, size, min(member.order for member in members) + (number,))
    device.writable = all(member.writable for member in members)
    return device


def unique(words):
    return list(collections.OrderedDict.fromkeys(words))


def size_of(host, name):
    text = host.read("/sys/class/block/{}/size".format(name)) or ""
    return int(text) * SECTOR if text.isdigit() else 0


def make_read_only(host, device):
    """The target refuses writes; the kernel shall not even try."""
    if not device.writable and host.read(device.folder + "/ro") != "1":
        host.run(["blockdev", "--setro", device.path], PROBE_TIMEOUT)


@contextlib.contextmanager
def fetched(host, devices):
    """While the context lasts, what probing reads of each of these devices is in memory or on its way.

    Probing asks for some forty small pieces, one after the other. Over a network that is most of its time.
    """
    held = []
    try:
        for device in devices:
            end = max(0, device.size - LOOKED_AT_TAIL)
            held.append(host.read_ahead(device.path, (0, LOOKED_AT_HEAD), (end, LOOKED_AT_TAIL)))
        yield
    finally:
        for descriptor in held:
            if descriptor is not None:
                os.close(descriptor)


def probe_all(host, devices):
    """Probes several devices at one time: each of them waits, for the network and for a program to start."""
    waiting = list(devices)

    def probe_some():
        with contextlib.suppress(IndexError, OSError):  # none is left; what failed is met again by who needs it
            while True:
                waiting.pop(0).probe(host)

    # Daemons: whoever leaves the script meanwhile does not wait for a device that hangs.
    threads = [threading.Thread(target=probe_some, daemon=True) for _ in range(min(PROBES_AT_ONCE, len(waiting)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def probe(host, path):
    """Low-level probing, which asks the device and no cache."""
    result = host.run(["blkid", "-p", "-o", "udev", path], PROBE_TIMEOUT)
    if result.status == 8:
        return NOTHING._replace(problem="carries the marks of more than one file system")
    if result.status not in (0, 2):
        return NOTHING._replace(problem="cannot be read ({})".format(result.err or "blkid failed"))
    values = dict(line.partition("=")[::2] for line in result.out.splitlines())
    return Found(
        values.get("ID_FS_TYPE"),
        values.get("ID_FS_USAGE"),
        decode(values.get("ID_FS_LABEL_ENC")),
        values.get("ID_FS_UUID"),
        values.get("ID_PART_ENTRY_UUID"),
        decode(values.get("ID_PART_ENTRY_NAME")),
        values.get("ID_PART_TABLE_TYPE"),
        None,
    )


def decode(text):
    """blkid's \\xHH escapes as text."""
    if text is None:
        return None
    raw = re.sub(b"\\\\x([0-9a-fA-F]{2})", lambda match: bytes([int(match.group(1), 16)]), text.encode("utf-8"))
    return raw.decode("utf-8", "replace")
