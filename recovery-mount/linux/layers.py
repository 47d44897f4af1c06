"""From disks to volumes: layers that turn devices into further devices or into volumes.

A layer has three parts: `claims(host, device)`, whether a device is for it; `open(host, devices)`, which takes all
devices it claimed in one round and returns ([Device], [Volume]); and its place in the list: a device goes to the first
layer that claims it, and a layer is opened when no earlier one has a device left. So a layer that joins devices (LVM,
md) finds all its members, from whatever layers they came.
"""

from devices import SECTOR, Device, fetched, joined, partitions, probe_all
from filesystems import Volume

# Layers upon layers: more than this is no backup of a real machine, or a loop.
MAX_DEPTH = 8
# Devices that are fetched at one time: each holds a descriptor, and 330 KiB of memory while it is looked at.
LOOKED_AT_ONCE = 16
# The kernel shows an extended partition itself with room for one or two sectors only: the container of the others.
CONTAINER_BYTES = 1024
# Types of the partitions of an MBR that hold other partitions.
EXTENDED = ("0x5", "0xf", "0x85")
PARTX_TIMEOUT = 60


def discover(host, devices, layers, checkpoint):
    """The volumes on these devices, in the order of the disks and what is on them; `checkpoint` may raise."""
    looked_at = 0
    waiting = list(devices)
    volumes = []
    while waiting:
        waiting.sort(key=lambda device: device.order)
        claims = []
        for start in range(0, len(waiting), LOOKED_AT_ONCE):
            some = waiting[start : start + LOOKED_AT_ONCE]
            checkpoint("Looking at what is on the disks.", " {} devices so far.".format(looked_at))
            new = [device for device in some if device.found is None]
            looked_at += len(new)
            unknown = [device for device in new if not partitions(host, device)]
            with fetched(host, unknown):
                probe_all(host, unknown)
            claims += [(rank_of(host, device, layers), device) for device in some]
        first = min(rank for rank, _ in claims)
        made, found = layers[first].open(host, [device for rank, device in claims if rank == first])
        waiting = [device for rank, device in claims if rank != first]
        waiting += [device for device in made if len(device.order) <= MAX_DEPTH]
        volumes += found
    return sorted(volumes, key=lambda volume: volume.devices[0].order)


def rank_of(host, device, layers):
    return next(rank for rank, layer in enumerate(layers) if layer.claims(host, device))


def holds_iso9660(host, device):
    """Whether its first volume descriptor is one of ECMA-119, 8.1.2; to probe all disks for that would take long."""
    return host.read_bytes(device.path, 32769, 5) == b"CD001"


class PartitionTables:
    """MBR, extended partitions and GPT: of disks as the kernel has read them, of mapped devices by our own."""

    def __init__(self, mapper, tools):
        self.mapper = mapper
        self.tools = tools

    def claims(self, host, device):
        if is_mapped(device):
            found = device.probe(host)
            # The first sector of a file system or a container may look like a table too.
            return found.type is None and found.table is not None
        # A hybrid ISO image has a partition table inside its own file system.
        return bool(partitions(host, device)) and not holds_iso9660(host, device)

    def open(self, host, devices):
        made, volumes = [], []
        for device in devices:
            if is_mapped(device):
                opened, reason = self.map_partitions(host, device)
                made += opened
                if reason:
                    what = "holds a partition table that cannot be read: {}".format(reason)
                    volumes.append(Volume([device], device.probe(host).table, None, True, what))
                continue
            for number, name, size in partitions(host, device):
                if size > CONTAINER_BYTES:
                    source = "partition {}".format(number)
                    made.append(Device("/dev/" + name, device.disk, source, size, device.order + (number,)))
        return made, volumes

    def map_partitions(self, host, device):
        """The partitions inside an LV or an encrypted container, which the kernel does not look for.

        Returns (devices, None), or what could be mapped and why not the rest.
        """
        if not self.tools.have("partx", "to read a partition table inside {}".format(device.source)):
            return [], "partx is not installed"
        words = ["partx", "--show", "--raw", "--noheadings", "-o", "NR,START,SECTORS,TYPE", device.path]
        result = host.run(words, PARTX_TIMEOUT)
        if result.status != 0:
            return [], "{}".format(result.err or "partx failed")
        made = []
        for number, start, sectors in inner_partitions(result.out):
            size = sectors * SECTOR
            table = "linear {} {}".format(device.path, start)
            path, problem = self.mapper.create(self.mapper.name("part"), size, table)
            if path is None:
                return made, problem
            source = "{}, partition {}".format(device.source, number)
            made.append(joined([device], path, source, size, number))
        return made, None


def is_mapped(device):
    return device.name.startswith("dm-")


def inner_partitions(text):
    """What partx has found, without the containers of others: [(number, first sector, sectors)]."""
    rows = [line.split() for line in text.splitlines()]
    whole = [row for row in rows if len(row) == 4 and all(cell.isdigit() for cell in row[:3])]
    return [(int(row[0]), int(row[1]), int(row[2])) for row in whole if row[3] not in EXTENDED]
