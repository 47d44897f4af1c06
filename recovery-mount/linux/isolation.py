"""Keeps this machine's own automation away from our devices: LVM, md, multipath, udisks, btrfs, /dev/disk links, fstab.

Temporary udev rules under /run do it, before the disks appear. They match the vendor that every itemlift disk reports,
and by their names the devices that this run makes of the disks.
"""

RULES_FOLDER = "/run/udev/rules.d"
UDEV_TIMEOUT = 20
# What is still under way when it is closed: the events of the disks that went.
LAST_EVENTS_TIMEOUT = 10

DISKS = 'SUBSYSTEMS=="scsi", ATTRS{vendor}=="ITEMLIFT*"'
# Mapped devices are named after the grant; so are the files behind the loop devices. LVM's names have no hyphens.
MAPPED = 'KERNEL=="dm-*", ATTR{{dm/name}}=="itemlift-{0}-*|itemlift_{0}_*"'
LOOPS = 'KERNEL=="loop*", ATTR{{loop/backing_file}}=="*itemlift-{0}-*"'

ALOOF = 'ENV{SYSTEMD_READY}="0", ENV{UDISKS_IGNORE}="1", ENV{UDISKS_AUTO}="0", '
# No probing, and so no /dev/disk/by-uuid link that would point the host's fstab at a copy of its own disk; `nompath`
# is what a kernel line without multipath sets.
UNSEEN = ALOOF + (
    'ENV{UDEV_DISABLE_PERSISTENT_STORAGE_RULES_FLAG}="1", ENV{DM_UDEV_DISABLE_DISK_RULES_FLAG}="1", '
    'ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}="1", ENV{DM_MULTIPATH_DEVICE_PATH}="0", ENV{nompath}="1"'
)
# What an older udev has probed all the same is forgotten.
FORGOTTEN = (
    'ENV{ID_FS_TYPE}="", ENV{ID_FS_USAGE}="", ENV{ID_FS_UUID}="", ENV{ID_FS_UUID_ENC}="", ENV{ID_FS_LABEL}="", '
    'ENV{ID_FS_LABEL_ENC}="", ENV{DM_MULTIPATH_DEVICE_PATH}="0", ENV{DM_UDEV_DISABLE_DISK_RULES_FLAG}="1", '
    'ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}="1"'
)
# Where find_multipaths is "no", multipathd takes every disk, unless it has a serial number here and nothing of these:
# what udev and sg3-utils make of the identification that itemlift's disks give (VPD pages 0x80 and 0x83). Without a
# serial number it would ask the disk itself.
IDENTIFICATION = (
    "ID_WWN",
    "ID_WWN_WITH_EXTENSION",
    "ID_WWN_VENDOR_EXTENSION",
    "SCSI_IDENT_SERIAL",
    "SCSI_IDENT_LUN_T10",
    "SCSI_IDENT_LUN_NAA_EXT",
    "SCSI_IDENT_LUN_NAA_LOCAL",
    "SCSI_IDENT_LUN_NAA_REG",
    "SCSI_IDENT_LUN_NAA_REGEXT",
    "SCSI_IDENT_PORT_NAME",
    "SCSI_IDENT_PORT_RELATIVE",
    "SCSI_IDENT_TARGET_NAME",
)
# Nothing set in between stands.
LAST_WORD = ALOOF + 'ENV{SYSTEMD_WANTS}="", ENV{ID_SERIAL}="itemlift-%k", OPTIONS+="nowatch"'
LAST_WORD += "".join(', ENV{{{}}}=""'.format(name) for name in IDENTIFICATION)

# Prefix of the file's name, which decides when udev runs it, and what it sets: first of all; before md (63, 64), btrfs
# (64) and LVM (69); last.
RULES = (("00", UNSEEN), ("62", FORGOTTEN), ("99-zz", LAST_WORD))


def isolate(host, state):
    """Writes the rules and makes udev read them; does nothing on a machine without udev."""
    if not has_udev(host):
        return
    # /run/udev belongs to udev and stays; rules.d may be ours.
    if not host.exists(RULES_FOLDER):
        state.note(rules_folder=True)
        host.make_folder(RULES_FOLDER)
    # The links to mapped devices, /dev/mapper/NAME, are of use and in nobody's way.
    named = (DISKS, ', SYMLINK=""'), (MAPPED.format(state.grant), ""), (LOOPS.format(state.grant), ', SYMLINK=""')
    write_rules(host, state, state.grant, named)


def isolate_array(host, state, name):
    """The same for an md array, which has no name of ours: by its number, before it is assembled."""
    if has_udev(host):
        match = 'KERNEL=="{0}|{0}p*"'.format(name)
        write_rules(host, state, "{}-{}".format(state.grant, name), ((match, ', SYMLINK=""'),))


def write_rules(host, state, suffix, matches):
    """One file for each of RULES with a line for each of `matches`, (match, what the last file adds)."""
    for prefix, settings in RULES:
        path = "{}/{}-itemlift-{}.rules".format(RULES_FOLDER, prefix, suffix)
        state.add("rules", path)
        text = "# itemlift grant {}: removed when it is closed\n".format(state.grant)
        for match, links in matches:
            last = links if settings is LAST_WORD else ""
            text += 'SUBSYSTEM=="block", {}, {}{}\n'.format(match, settings, last)
        host.write(path, text)
    reload_rules(host)


def end_isolation(host, state):
    """Removes the rules once udev is through with our devices; returns those that are still there."""
    rules = state.get("rules", [])
    if rules:
        settle(host, LAST_EVENTS_TIMEOUT)
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
