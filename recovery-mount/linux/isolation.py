"""Keeps this machine's own automation away from our disks: LVM, md, multipath, udisks, btrfs, /dev/disk links, fstab.

Temporary udev rules under /run do it, before the disks appear. They match the vendor that every itemlift disk reports.
"""

RULES_FOLDER = "/run/udev/rules.d"
UDEV_TIMEOUT = 20
OURS = 'SUBSYSTEM=="block", SUBSYSTEMS=="scsi", ATTRS{vendor}=="ITEMLIFT*"'

# Prefix of the file's name, which decides when udev runs it, and what it sets.
RULES = (
    # First: no probing, and so no /dev/disk/by-uuid link that would point the host's fstab at a copy of its own disk.
    (
        "00",
        'ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}="1", ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}="1", '
        'ENV{DM_MULTIPATH_DEVICE_PATH}="0", ENV{SYSTEMD_READY}="0", ENV{UDISKS_IGNORE}="1"',
    ),
    # Before md (63, 64), btrfs (64) and LVM (69): what an older udev has probed all the same is forgotten.
    (
        "62",
        'ENV{ID_FS_TYPE}="", ENV{ID_FS_USAGE}="", ENV{ID_FS_UUID}="", ENV{ID_FS_UUID_ENC}="", ENV{ID_FS_LABEL}="", '
        'ENV{ID_FS_LABEL_ENC}="", ENV{DM_MULTIPATH_DEVICE_PATH}="0"',
    ),
    # Last: nothing set in between stands. Without ID_SERIAL and ID_WWN multipathd takes no interest.
    (
        "99-zz",
        'ENV{SYSTEMD_READY}="0", ENV{SYSTEMD_WANTS}="", ENV{UDISKS_IGNORE}="1", ENV{UDISKS_AUTO}="0", '
        'ENV{ID_SERIAL}="", ENV{ID_WWN}="", SYMLINK="", OPTIONS+="nowatch"',
    ),
)


def isolate(host, state):
    """Writes the rules and makes udev read them; does nothing on a machine without udev."""
    if not has_udev(host):
        return
    # /run/udev belongs to udev and stays; rules.d may be ours.
    if not host.exists(RULES_FOLDER):
        state.note(rules_folder=True)
        host.make_folder(RULES_FOLDER)
    for prefix, settings in RULES:
        path = "{}/{}-itemlift-{}.rules".format(RULES_FOLDER, prefix, state.grant)
        state.add("rules", path)
        host.write(path, "# itemlift grant {}: removed when it is closed\n{}, {}\n".format(state.grant, OURS, settings))
    reload_rules(host)


def end_isolation(host, state):
    """Removes the rules; returns those that are still there."""
    rules = state.get("rules", [])
    left = [path for path in rules if not host.remove(path)]
    if state.get("rules_folder"):
        host.remove_folder(RULES_FOLDER)
    if rules:
        reload_rules(host)
    return left


def has_udev(host):
    return host.which("udevadm") is not None and host.exists("/run/udev")


def reload_rules(host):
    host.run(["udevadm", "control", "--reload"], UDEV_TIMEOUT)


def settle(host, seconds=UDEV_TIMEOUT):
    """Waits until udev has nothing left to do."""
    if has_udev(host):
        host.run(["udevadm", "settle", "--timeout={}".format(seconds)], seconds + 5)
