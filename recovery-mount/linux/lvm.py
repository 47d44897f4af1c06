"""LVM: volume groups of any kind and any name, opened under names of our own.

Every command sees our overlays alone and none of the machine's configuration: its own filter, no files, no monitoring,
locks of its own. `vgimportclone` gives each group a new name and new UUIDs, written to the overlays, so that it can be
active beside the group of the machine that it is a copy of.
"""

import re

from cow import NoRoom
from devices import joined, size_of
from filesystems import Volume, unopened
from mapper import DMSETUP_TIMEOUT, mapped_path

PV = "LVM2_member"
LVM_TIMEOUT = 60
LOCKS = "/run/itemlift/lvm-locks"
# An empty folder name: no lvm.conf, no archive, no backup, no cache.
NO_FILES = {"LVM_SYSTEM_DIR": "", "LVM_SUPPRESS_FD_WARNINGS": "1"}
CONFIG = (
    'devices{{filter=[{0}] global_filter=[{0}] use_devicesfile=0 obtain_device_list_from_udev=0 hints="none" '
    'external_device_info_source="none" md_component_detection=0 multipath_component_detection=0}} '
    'backup{{backup=0 archive=0}} activation{{monitoring=0 activation_mode="degraded"}} '
    'global{{event_activation=0 use_lvmpolld=0 use_lvmlockd=0 locking_dir="{1}"}} local{{extra_system_ids=[{2}]}}'
)
AS_TABLE = ["--noheadings", "--separator", "|"]
# First letters of lv_attr. Pools hold other volumes.
POOLS = "tTdD"
# RAID: what was out of step at the backup stays so, for to synchronise it would fill the overlays.
RAIDS = "rR"
NOT_WHOLE = "lies partly on a disk that is not in this recovery point"


class Lvm:
    """Opens all physical volumes that come in one round; a group's may lie on several disks."""

    def __init__(self, mapper, overlays, tools):
        self.mapper = mapper
        self.overlays = overlays
        self.tools = tools

    def claims(self, host, device):
        return device.probe(host).type == PV

    def open(self, host, devices):
        if not self.tools.have("lvm", "to open LVM volume groups"):
            return [], [
                unopened([device], PV, "is part of an LVM volume group; lvm2 is not installed") for device in devices
            ]
        volumes, members = [], {}
        for device in devices:
            try:
                over = self.overlays.over(device)
                members[over.path] = over
            except NoRoom as no:
                volumes.append(unopened([device], PV, "is part of an LVM volume group: {}".format(no)))
        opened = []
        for group in groups_of(host, members):
            made, reasons = self.open_group(host, group)
            opened += made
            volumes += reasons
        return opened, volumes

    def open_group(self, host, group):
        """The logical volumes of a group as devices, and what could not be opened as volumes with the reason."""
        if not group.name:
            return [], [unopened(group.members, PV, "is an LVM physical volume that belongs to no volume group")]
        what = "is part of the LVM volume group {}".format(group.name)
        paths = [member.path for member in group.members]
        lost = self.give_up_lost(host, group, paths) if group.missing else []
        name = self.mapper.group_name()
        clone = ["vgimportclone", "--basevgname", name] + (["--import"] if group.exported else [])
        result = lvm(host, clone + paths, paths, group.system_id)
        if result.status != 0:
            return [], [
                unopened(group.members, PV, "{}, which cannot be renamed: {}".format(what, lvm_problem(result)))
            ]
        activation = lvm(host, ["vgchange", "--activate", "y", name], paths, group.system_id)
        made, volumes = self.logical_volumes(host, group, name, activation)
        return made, volumes + lost

    def give_up_lost(self, host, group, paths):
        """Takes what lies on disks that are not here out of the group, on the overlays; returns it as volumes.

        The other logical volumes are whole, and RAID does with the legs that are left.
        """
        before = sizes_of(host, group, paths)
        lvm(host, ["vgreduce", "--yes", "--force", "--removemissing", group.name], paths, group.system_id)
        left = sizes_of(host, group, paths)
        lost = []
        for number, name in enumerate(sorted(set(before) - set(left)), 1):
            source = "LV {}/{}".format(group.name, name)
            device = joined(group.members, "", source, before[name], len(before) + number)
            lost.append(Volume([device], None, None, True, NOT_WHOLE))
        return lost

    def logical_volumes(self, host, group, name, activation):
        words = ["lvs", "-o", "lv_name,lv_attr,lv_dm_path"] + AS_TABLE + [name]
        rows = table_of(lvm(host, words, [member.path for member in group.members], group.system_id))
        made, volumes = [], []
        for number, (logical, attributes, link) in enumerate(rows, 1):
            if attributes[:1] in POOLS:
                continue
            mapped = link.rsplit("/", 1)[1]
            path = mapped_path(host, mapped)
            if path and attributes[:1] in RAIDS:
                host.run(["dmsetup", "message", mapped, "0", "frozen"], DMSETUP_TIMEOUT)
            source = "LV {}/{}".format(group.name, logical)
            size = size_of(host, path.rsplit("/", 1)[1]) if path else 0
            device = joined(group.members, path or "", source, size, number)
            if path is None:
                reason = "cannot be activated: {}".format(lvm_problem(activation))
                volumes.append(Volume([device], None, None, True, reason))
            else:
                made.append(device)
        return made, volumes


class Group:
    """A volume group by what its physical volumes say."""

    def __init__(self, name, system_id, missing, exported):
        self.name = name
        self.system_id = system_id
        self.missing = missing
        self.exported = exported
        self.members = []


def sizes_of(host, group, paths):
    """The logical volumes of a group that hold something themselves: {name: bytes}."""
    words = ["lvs", "--units", "b", "--nosuffix", "-o", "lv_name,lv_attr,lv_size"] + AS_TABLE + [group.name]
    rows = table_of(lvm(host, words, paths, group.system_id))
    return {name: int(size) for name, attributes, size in rows if attributes[:1] not in POOLS and size.isdigit()}


def groups_of(host, members):
    """The groups of these physical volumes, {path: device}, in their order; one of no name for each without a group."""
    fields = "pv_name,vg_uuid,vg_name,vg_systemid,vg_missing_pv_count,vg_exported"
    groups = {}
    words = ["pvs", "--foreign", "-o", fields] + AS_TABLE
    for row in table_of(lvm(host, words, list(members), "")):
        path, uuid, name, system_id, missing, exported = row
        if path in members:
            group = groups.setdefault(uuid or path, Group(name, system_id, missing not in ("", "0"), bool(exported)))
            group.members.append(members[path])
    told = {member.path for group in groups.values() for member in group.members}
    for path, device in members.items():
        if path not in told:
            groups[path] = Group("", "", False, False)
            groups[path].members.append(device)
    return sorted(groups.values(), key=lambda group: group.members[0].order)


def lvm(host, words, paths, system_id):
    """Runs an LVM command that sees these devices and nothing else."""
    host.make_folder(LOCKS, 0o700)
    accepted = ", ".join('"a|^{}$|"'.format(path) for path in paths)
    known = '"{}"'.format(system_id) if re.match(r"^[\w.:-]+$", system_id) else ""
    config = CONFIG.format(accepted + ', "r|.*|"', LOCKS, known)
    return host.run(["lvm", words[0], "--config", config] + words[1:], LVM_TIMEOUT, variables=NO_FILES)


def table_of(result):
    """The rows of a report, given AS_TABLE."""
    return [[cell.strip() for cell in line.split("|")] for line in result.out.splitlines() if "|" in line]


def lvm_problem(result):
    """LVM's last words without its warnings."""
    lines = [line.strip() for line in result.err.splitlines() if line.strip() and "WARNING" not in line]
    return lines[-1].rstrip(".") if lines else "no reason given"
