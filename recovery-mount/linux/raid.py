"""md arrays, assembled from exactly the members that are in the recovery point, over overlays.

Each gets a new UUID there, for mdadm takes no second array of one that this machine runs, and a number that nothing
here has. It starts read-only and is not synchronised: a missing member stays missing.
"""

import uuid

from cow import NoRoom
from devices import joined, partitions, size_of
from filesystems import unopened
from isolation import isolate_array

MDADM_TIMEOUT = 30
# Where mdadm notes the arrays that it has assembled; it makes the folder when it first does.
MAP_FOLDER = "/run/mdadm"
# Far from the numbers that mdadm (127 and down) and old configurations (0 and up) take. Its own limit is 511.
FIRST_NUMBER, LAST_NUMBER = 400, 511


class Raid:
    """Assembles all members that come in one round."""

    def __init__(self, state, mapper, overlays, tools):
        self.state = state
        self.mapper = mapper
        self.overlays = overlays
        self.tools = tools

    def claims(self, host, device):
        return device.probe(host).type == "linux_raid_member"

    def open(self, host, devices):
        arrays = {}
        for device in devices:
            arrays.setdefault(device.probe(host).uuid, []).append(device)
        made, volumes = [], []
        for members in arrays.values():
            label = members[0].probe(host).label
            what = "is part of a RAID array" + (" ({})".format(label) if label else "")
            device, reason = self.assemble(host, members, label)
            if device is not None:
                made.append(device)
            else:
                volumes.append(unopened(members, "linux_raid_member", "{}: {}".format(what, reason)))
        return made, volumes

    def assemble(self, host, members, label):
        """(the array as a device, None), or (None, why not)."""
        if not self.tools.have("mdadm", "to assemble RAID arrays"):
            return None, "mdadm is not installed"
        try:
            over = [self.overlays.over(member) for member in members]
        except NoRoom as no:
            return None, str(no)
        name = free_array(host)
        if name is None:
            return None, "this machine has too many arrays"
        isolate_array(host, self.state, name)
        if not host.exists(MAP_FOLDER):
            self.state.note(map_folder=True)
        self.state.add("arrays", name)
        words = ["mdadm", "--assemble", "/dev/" + name, "--config=none", "--run", "--update=uuid"]
        words += ["--uuid=" + new_array_id()] + [member.path for member in over]
        result = host.run(words, MDADM_TIMEOUT)
        size = size_of(host, name)
        if result.status != 0 or size == 0:
            stop_array(host, name)
            return None, "it does not start with the {} that {} here ({})".format(
                "member" if len(members) == 1 else "{} members".format(len(members)),
                "is" if len(members) == 1 else "are",
                mdadm_problem(result.err),
            )
        host.poke("/sys/class/block/{}/md/sync_action".format(name), "frozen")
        return self.device_of(host, name, over, label, size)

    def device_of(self, host, name, over, label, size):
        """The array as a device.

        Behind a mapped device, for an array that is in use cannot be stopped, and a mapped device can be emptied; with
        partitions as it is, for a mapped device has none.
        """
        level = host.read("/sys/class/block/{}/md/level".format(name)) or "array"
        source = "{} {}".format(level, label or name)
        device = joined(over, "/dev/" + name, source, size, int(name[len("md") :]))
        if not partitions(host, device):
            path, problem = self.mapper.create(self.mapper.name("array"), size, "linear /dev/{} 0".format(name))
            if path is None:
                return None, problem
            device.path = path
        return device, None


def free_array(host):
    """The name of an array that this machine does not have."""
    taken = set(host.names("/sys/class/block"))
    names = ("md{}".format(number) for number in range(FIRST_NUMBER, LAST_NUMBER + 1))
    return next((name for name in names if name not in taken), None)


def new_array_id():
    """A random UUID as mdadm writes it."""
    digits = uuid.uuid4().hex
    return ":".join(digits[at : at + 8] for at in range(0, 32, 8))


def stop_array(host, name):
    """Stops an array; tells whether it is gone."""
    if not array_is_there(host, name):
        return True
    host.run(["mdadm", "--stop", "/dev/" + name], MDADM_TIMEOUT)
    if array_is_there(host, name):
        host.push("/sys/class/block/{}/md/array_state".format(name), "clear", MDADM_TIMEOUT)
    return not array_is_there(host, name)


def forget_map(host, state):
    """Removes mdadm's notes if they began with us and there is nothing in them any more."""
    path = MAP_FOLDER + "/map"
    if state.get("map_folder") and not host.read(path):
        host.remove(path)
        host.remove_folder(MAP_FOLDER)


def array_is_there(host, name):
    """Whether the array has members; without any, its name is only a place."""
    state = host.read("/sys/class/block/{}/md/array_state".format(name))
    return state not in (None, "clear")


def mdadm_problem(err):
    lines = [line.partition("mdadm: ")[2] or line for line in err.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no reason given"
