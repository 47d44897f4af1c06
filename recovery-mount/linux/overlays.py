"""Throw-away copy-on-write overlays: what is written goes there, the recovery point stays as it is.

A device that was made of overlays (an LV, an array, what is in a LUKS container) can be written to as it is.
"""

from cow import NoRoom
from devices import Device, make_read_only
from mapper import DMSETUP_TIMEOUT, UNATTENDED, our_mapped

# A chunk is copied when it is first written to. Large ones cost room, small ones cost time while reading, for reads
# are cut at their borders. Sectors of 512 bytes.
CHUNK_SECTORS = 32
DEFAULT_OVERLAY_MIB = 64
SMALLEST_OVERLAY_MIB, LARGEST_OVERLAY_MIB = 1, 65536


class Overlays:
    """Makes one overlay for a device at most."""

    def __init__(self, host, mapper, cows, tools):
        self.host = host
        self.tools = tools
        self.mapper = mapper
        self.cows = cows
        self.made = {}
        self.problem = None  # why this machine has no overlays at all

    def over(self, device):
        """The device to write to in place of this one; raises NoRoom with the reason if there can be none."""
        if device.writable:
            return device
        if device.path not in self.made:
            self.made[device.path] = self.make(device)
        return self.made[device.path]

    def make(self, device):
        if self.problem is None and not self.tools.have("dmsetup", "to replay journals and open LVM on overlays"):
            self.problem = "dmsetup is not installed"
        if self.problem is not None:
            raise NoRoom(self.problem)
        make_read_only(self.host, device)
        with self.cows.room(device.size) as cow:
            table = "snapshot {} {} P {}".format(device.path, cow, CHUNK_SECTORS)
            name = self.mapper.name("overlay")
            path, problem = self.mapper.create(name, device.size, table)
        if path is None:
            if "Invalid argument" in problem or "unknown target" in problem.lower():
                problem = self.problem = "this kernel has no dm-snapshot"
            raise NoRoom("its overlay cannot be made: " + problem if problem != self.problem else problem)
        self.mapper.state.note(
            overlays=dict(self.mapper.state.get("overlays", {}), **{name: "{}, {}".format(device.disk, device.source)})
        )
        over = Device(path, device.disk, device.source, device.size, device.order)
        over.writable = True
        over.found = device.found
        return over

    def drop(self, devices):
        """Takes the overlays of these devices away: they were of no use."""
        for device in devices:
            over = self.made.pop(device.path, None)
            if over is not None:
                kernel = over.path.rsplit("/", 1)[1]
                name = self.host.read("/sys/class/block/{}/dm/name".format(kernel))
                self.host.run(["dmsetup", "remove"] + UNATTENDED + [name or over.path], DMSETUP_TIMEOUT)


def full_overlays(host, grant):
    """The overlays of a grant that are full, by name: whoever reads them gets errors."""
    if not our_mapped(host, grant):
        return []
    result = host.run(["dmsetup", "status", "--target", "snapshot"], DMSETUP_TIMEOUT)
    full = []
    for line in result.out.splitlines():
        name, _, rest = line.partition(":")
        if name.startswith("itemlift-{}-".format(grant)) and rest.split()[3:4] in (["Invalid"], ["Overflow"]):
            full.append(name)
    return full
