"""Mounting volumes, read-only, and finding what is mounted."""

import collections
import re

from filesystems import WAYS

COMMON = "ro,nosuid,nodev,noexec"
MOUNT_TIMEOUT = 60
MODPROBE_TIMEOUT = 20

Mounted = collections.namedtuple("Mounted", "path device options")


def mount_all(host, state, volumes):
    """Mounts what can be mounted; a volume that cannot be keeps the reason."""
    for volume in volumes:
        if volume.is_mountable():
            mount_volume(host, state, volume)


def mount_volume(host, state, volume):
    state.add("mounts", volume.path)
    problems = []
    for way in WAYS[volume.fs]:
        problem = try_way(host, volume, way)
        if problem is None:
            volume.mounted = True
            return
        if problem not in problems:
            problems.append(problem)
    volume.reason = "; ".join(problems)
    state.drop("mounts", volume.path)
    host.remove_folder(volume.path)
    volume.path = None


def try_way(host, volume, way):
    """None if the volume is mounted now, else why not."""
    if way.program is not None:
        if host.which(way.program) is None:
            return "{} is not installed".format(way.program)
        load(host, "fuse")
    elif not kernel_has(host, way.type):
        return "this kernel cannot read {}: load the module or use another machine".format(way.type)
    options = ",".join(filter(None, (COMMON, way.options)))
    options += "".join(",device=" + device.path for device in volume.devices[1:])
    device = volume.devices[0].path
    result = host.run(["mount", "-t", way.type, "-o", options, device, volume.path], MOUNT_TIMEOUT)
    if result.status != 0:
        return "cannot be mounted: {}".format(mount_problem(result.err))
    return None


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
    """The paths that these kernel devices or their partitions are mounted on, last mounted first."""
    pattern = re.compile("^/dev/({})[0-9]*$".format("|".join(map(re.escape, names)) or "-"))
    return [mount.path for mount in reversed(mounts(host)) if pattern.match(mount.device)]
