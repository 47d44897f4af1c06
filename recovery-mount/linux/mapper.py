"""Mapped devices of our own: every name begins with the grant's prefix, so that all of them are found again.

Nothing of it waits for udev: devices are used under the names that the kernel itself gives them, /dev/dm-N.
"""

from devices import SECTOR

DMSETUP_TIMEOUT = 10
NODE_TIMEOUT = 10
# udev makes its links; its confirmation is not waited for.
UNATTENDED = ["--noudevsync"]


class Mapper:
    """Makes mapped devices, each noted before, and groups of names that LVM can use."""

    def __init__(self, host, state):
        self.host = host
        self.state = state

    def name(self, kind):
        """A new name such as itemlift-GRANT-overlay3, on record from now on."""
        number = self.state.get("mapped", 0) + 1
        self.state.note(mapped=number)
        return "itemlift-{}-{}{}".format(self.state.grant, kind, number)

    def group_name(self):
        """A new name for a volume group; its devices are called GROUP-VOLUME."""
        number = self.state.get("mapped", 0) + 1
        self.state.note(mapped=number)
        return "itemlift_{}_{}".format(self.state.grant, number)

    def create(self, name, size, table):
        """Maps `size` bytes by a table such as "linear /dev/sdb 0"; returns (path, None) or (None, why not)."""
        line = "0 {} {}".format(size // SECTOR, table)
        result = self.host.run(["dmsetup", "create", name] + UNATTENDED + ["--table", line], DMSETUP_TIMEOUT)
        if result.status != 0:
            return None, dmsetup_problem(result.err)
        return self.appeared(name)

    def appeared(self, name):
        """Waits for a device that has been mapped; (path, None) or (None, why not)."""
        path = self.host.wait_for(lambda: mapped_path(self.host, name), NODE_TIMEOUT)
        return path, None if path else "its device did not appear"


def dmsetup_problem(err):
    lines = [line for line in err.splitlines() if line != "Command failed."]
    return lines[-1].rstrip(".") if lines else "no reason given"


def mapped_names(host):
    """All mapped devices of this machine: {name: kernel's name}."""
    return {
        host.read("/sys/class/block/{}/dm/name".format(kernel)): kernel
        for kernel in host.names("/sys/class/block")
        if kernel.startswith("dm-")
    }


def mapped_path(host, name):
    """/dev/dm-N of a mapped device, None if there is no such device (yet)."""
    path = "/dev/{}".format(mapped_names(host).get(name))
    return path if host.exists(path) else None


def our_mapped(host, grant):
    """The mapped devices of a grant: {name: kernel's name}."""
    prefixes = "itemlift-{}-".format(grant), "itemlift_{}_".format(grant)
    return {name: kernel for name, kernel in mapped_names(host).items() if name and name.startswith(prefixes)}
