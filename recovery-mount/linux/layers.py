"""From disks to volumes: layers that turn devices into further devices or into volumes.

A layer has three parts: `claims(host, device)`, whether a device is for it; `open(host, devices)`, which takes all
devices it claimed in one round and returns ([Device], [Volume]); and its place in the list: a device goes to the first
layer that claims it, and a layer is opened when no earlier one has a device left. So a layer that joins devices (LVM,
md) finds all its members, from whatever layers they came.
"""

from devices import Device, fetched, partitions

# Layers upon layers: more than this is no backup of a real machine, or a loop.
MAX_DEPTH = 8
# Devices that are fetched at one time: each holds a descriptor, and 330 KiB of memory while it is looked at.
LOOKED_AT_ONCE = 64
# The kernel shows an extended partition itself with room for one or two sectors only: the container of the others.
CONTAINER_BYTES = 1024


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
            new = [device for device in some if device.found is None]
            with fetched(host, [device for device in new if not partitions(host, device)]):
                for device in some:
                    checkpoint("Looking at what is on the disks.", " {} devices so far.".format(looked_at))
                    looked_at += device in new
                    claims.append((rank_of(host, device, layers), device))
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
    """MBR, extended partitions and GPT, as the kernel has read them."""

    def claims(self, host, device):
        # A hybrid ISO image has a partition table inside its own file system.
        return bool(partitions(host, device)) and not holds_iso9660(host, device)

    def open(self, host, devices):
        made = []
        for device in devices:
            for number, name, size in partitions(host, device):
                if size > CONTAINER_BYTES:
                    source = "partition {}".format(number)
                    made.append(Device("/dev/" + name, device.disk, source, size, device.order + (number,)))
        return made, []
