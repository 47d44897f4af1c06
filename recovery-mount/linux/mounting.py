"""Mounting volumes, read-only, and finding what is mounted."""

import collections
import re

from btrfs import give_new_id
from cow import NoRoom
from filesystems import ways_of
from overlays import full_overlays

COMMON = "ro,nosuid,nodev,noexec"
MOUNT_TIMEOUT = 60
MODPROBE_TIMEOUT = 20

Mounted = collections.namedtuple("Mounted", "path device options")


class Mounting:
    """Mounts volumes; `overlays` is where those with something to replay write to."""

    def __init__(self, host, state, overlays):
        self.host = host
        self.state = state
        self.overlays = overlays

    def mount_all(self, volumes, checkpoint):
        """Mounts what can be mounted; a volume that cannot be keeps the reason."""
        mountable = [volume for volume in volumes if volume.is_mountable()]
        for number, volume in enumerate(mountable, 1):
            checkpoint("Mounting the volumes.", " {} of {}.".format(number, len(mountable)))
            self.mount(volume)

    def mount(self, volume):
        self.state.add("mounts", volume.path)
        problems, tried = [], set()
        for each in ways_of(volume):
            devices, problem = self.devices_for(volume, each)
            attempt = (each.type, each.options) + tuple(device.path for device in devices or ())
            if problem is None and attempt in tried:
                continue  # the device can be written to as it is
            tried.add(attempt)
            problem = problem or self.try_way(volume, each, devices)
            if problem is None:
                volume.mounted = True
                if not each.overlaid:
                    self.overlays.drop(volume.devices)
                volume.remark = each.loss and "{} ({})".format(each.loss, "; ".join(problems))
                return
            if problem not in problems:
                problems.append(problem)
        self.overlays.drop(volume.devices)
        volume.reason = "; ".join(problems)
        self.state.drop("mounts", volume.path)
        self.host.remove_folder(volume.path)
        volume.path = None

    def devices_for(self, volume, each):
        """The devices to mount this way, or why there are none."""
        if volume.fs == "btrfs":
            return self.btrfs_devices(volume, each)
        if not each.overlaid:
            return volume.devices, None
        try:
            return [self.overlays.over(device) for device in volume.devices], None
        except NoRoom as no:
            return None, str(no)

    def btrfs_devices(self, volume, each):
        """On overlays under an id of its own; without, only where nobody else has the id."""
        host = self.host
        if volume.prepared is None and each.overlaid:
            try:
                volume.prepared = [self.overlays.over(device) for device in volume.devices]
            except NoRoom as no:
                return None, str(no)
            self.state.note(btrfs=self.state.get("btrfs", []) + [device.path for device in volume.prepared])
            volume.problem = give_new_id(host, volume.prepared)
        if volume.prepared is not None and volume.problem is None:
            return volume.prepared, None
        if each.overlaid:
            return None, volume.problem
        found = volume.devices[0].probe(host)
        if host.exists("/sys/fs/btrfs/{}".format(found.uuid)):
            return None, "this machine has a btrfs file system of the same id mounted; use another machine"
        return volume.devices, None

    def try_way(self, volume, each, devices):
        """None if the volume is mounted now, else why not."""
        host = self.host
        if each.program is not None:
            if host.which(each.program) is None:
                return "{} is not installed".format(each.program)
            load(host, "fuse")
        elif not kernel_has(host, each.type):
            return "this kernel cannot read {}: load the module or use another machine".format(each.type)
        options = ",".join(filter(None, (COMMON, each.options)))
        options += "".join(",device=" + device.path for device in devices[1:])
        words = ["mount", "-t", each.type, "-o", options, devices[0].path, volume.path]
        result = host.run(words, MOUNT_TIMEOUT)
        if result.status == 0:
            return None
        if each.overlaid and full_overlays(host, self.state.grant):
            size = self.overlays.cows.size >> 20
            return "its overlay of {0} MiB is too small: use --overlay-size {1}M or more".format(size, 4 * size)
        return "cannot be mounted: {}".format(mount_problem(result.err))


def mount_problem(err):
    """mount's words without its own name, the path and the hints that follow."""
    line = err.splitlines()[0] if err else "no reason given"
    return re.sub(r"^mount: (\S.*?: )?", "", line).strip().rstrip(".")


def kernel_has(host, fs):
    """Whether the kernel knows a file system, after loading its module if there is one."""
    return known(host, fs) or (load(host, fs) and known(host, fs))


def known(host, fs):
    return any(line.split()[-1:] == [fs] for line in (host.read("/proc/filesystems") or "").splitlines())


def load(host, module):
    return host.run(["modprobe", "-q", "--", module], MODPROBE_TIMEOUT).status == 0


def mounts(host):
    """What is mounted, in the order of mounting: /proc/self/mountinfo, proc(5)."""
    found = []
    for line in (host.read("/proc/self/mountinfo") or "").splitlines():
        fields = line.split(" ")
        if "-" not in fields:
            continue
        source = fields[fields.index("-") + 2 :][:1] or [""]
        found.append(Mounted(unescape(fields[4]), unescape(source[0]), fields[5]))
    return found


def unescape(text):
    """The kernel writes space, tab, newline and backslash as octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def mounted_below(host, folder):
    """The paths at and below a folder that something is mounted on, last mounted first."""
    inside = [mount.path for mount in mounts(host) if mount.path == folder or mount.path.startswith(folder + "/")]
    return list(reversed(inside))


def mounted_from(host, names):
    """The paths that devices of these names, or partitions of them, are mounted on, last mounted first."""
    pattern = re.compile("^/dev/(mapper/)?({})(p?[0-9]+)?$".format("|".join(map(re.escape, names)) or "-"))
    return [mount.path for mount in reversed(mounts(host)) if pattern.match(mount.device)]
