"""Takes down what was built upon the disks: mapped devices, volume groups, arrays.

It reads nothing from the disks and asks neither LVM nor cryptsetup, so that it ends when the server is gone: whatever
has our names and nothing upon it is removed, until nothing is left.
"""

from btrfs import forget
from lvm import LOCKS
from mapper import DMSETUP_TIMEOUT, UNATTENDED, our_mapped
from raid import array_is_there, forget_map, stop_array

# A device that udev or somebody else still looks into is free in a moment. Seconds.
FREE_PATIENCE = 3
PAUSE = 0.3


def take_down(host, state):
    """Returns what is still there: (names of devices that are empty and go with their last user, names of others)."""
    forget(host, state.get("btrfs", []))
    patience = host.monotonic() + FREE_PATIENCE
    emptied = set()
    while not host.time_is_up():
        before = standing(host, state)
        if not before - emptied:
            break
        remove_free(host, state, emptied)
        after = standing(host, state)
        if after != before:
            continue
        if host.monotonic() < patience:
            host.sleep(PAUSE)
        elif not empty_busy(host, state, emptied):
            break
    forget_map(host, state)
    for name in host.names(LOCKS):
        host.remove("{}/{}".format(LOCKS, name))
    host.remove_folder(LOCKS)
    left = standing(host, state)
    return sorted(emptied & left), sorted(left - emptied)


def standing(host, state):
    """The names of our mapped devices and arrays that are there."""
    arrays = {name for name in state.get("arrays", []) if array_is_there(host, name)}
    return set(our_mapped(host, state.grant)) | arrays


def remove_free(host, state, emptied):
    """Removes whatever has nothing upon it."""
    free = [name for name, kernel in free_mapped(host, state) if name not in emptied]
    if free:
        host.run(["dmsetup", "remove"] + UNATTENDED + free, DMSETUP_TIMEOUT)
    for name in state.get("arrays", []):
        if array_is_there(host, name) and not holders_of(host, name):
            stop_array(host, name)


def free_mapped(host, state):
    return sorted(item for item in our_mapped(host, state.grant).items() if not holders_of(host, item[1]))


def holders_of(host, kernel):
    """The devices that are made of this one or of its partitions."""
    base = "/sys/class/block/" + kernel
    parts = [name for name in host.names(base) if host.exists("{}/{}/partition".format(base, name))]
    return host.names(base + "/holders") + [
        holder for part in parts for holder in host.names("{}/{}/holders".format(base, part))
    ]


def empty_busy(host, state, emptied):
    """Takes the content away from devices that somebody uses, so that what is below them is free; tells if any were.

    The devices go by themselves when their last user does.
    """
    busy = [name for name, _ in free_mapped(host, state) if name not in emptied]
    for name in busy:
        if host.time_is_up():
            break
        host.run(["dmsetup", "wipe_table", "--noflush", "--nolockfs"] + UNATTENDED + [name], DMSETUP_TIMEOUT)
        host.run(["dmsetup", "remove", "--deferred"] + UNATTENDED + [name], DMSETUP_TIMEOUT)
        emptied.add(name)
    return bool(busy)
