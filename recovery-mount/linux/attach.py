"""From secrets to mounted volumes, each step on record before it is done."""

import os

from closing import process_start
from cow import CowFiles
from devices import disk_devices
from encrypted import Crypt
from filesystems import WAYS, FileSystems
from iscsi import Target, absent_folders, session_disks, sessions_of
from iscsid import check_initiator_name, ensure_iscsid
from isolation import isolate, settle
from layers import PartitionTables, discover
from layout import make_layout
from lvm import Lvm
from mapper import Mapper
from mounting import Mounting, kernel_has
from outcome import UNREACHABLE, Stop
from overlays import Overlays
from packages import offer
from raid import Raid
from tools import Tools
from tree import build_trees

DISKS_TIMEOUT = 60


def connect(host, state, plan, secrets, tunnel, checkpoint):
    """Attaches the disks; returns them as devices. `checkpoint` raises if the user wants out."""
    checkpoint("Connecting.")
    state.note(iqn=plan["iqn"], portal=tunnel.portal, absent_folders=absent_folders(host))
    isolate(host, state)
    checkpoint()
    tunnel.start()
    state.note(tunnel=[tunnel.pid, process_start(host, tunnel.pid)])
    ensure_iscsid(host, state)
    check_initiator_name(host)
    checkpoint("Logging in.")
    target = Target(host, plan["iqn"], tunnel.portal)
    target.make_record(secrets)
    log_in(target, tunnel)
    names = wait_for_disks(host, plan, checkpoint)
    state.note(devices=sorted(names.values()))
    return disk_devices(host, plan, names)


def log_in(target, tunnel):
    """Raises Stop with the reason: the initiator knows what its own connection met, the tunnel what was behind it."""
    try:
        target.login()
    except Stop:
        behind = tunnel.failure()
        if behind is not None:
            raise behind
        raise


def wait_for_disks(host, plan, checkpoint):
    """The kernel's names of our disks by LUN, once all of them are there and their partitions have been read."""
    wanted = {disk["lun"] for disk in plan["disks"]}

    def found():
        disks = {}
        for session in sessions_of(host, plan["iqn"]):
            disks.update(session_disks(host, session))
        checkpoint("Waiting for the disks.", " {} of {} are there.".format(len(wanted & set(disks)), len(wanted)))
        return disks if wanted <= set(disks) and all(host.can_open("/dev/" + name) for name in disks.values()) else None

    disks = host.wait_for(found, DISKS_TIMEOUT)
    if disks is None:
        raise Stop(
            UNREACHABLE,
            "Logged in, but the disks did not appear within {} s. Look at the kernel's log (dmesg).".format(
                DISKS_TIMEOUT
            ),
        )
    return {lun: name for lun, name in disks.items() if lun in wanted}


def make_overlays(host, talk, state, folder, overlay_bytes):
    """`folder` is where they are kept if the memory has no room."""
    cows = CowFiles(host, state, folder if host.exists(folder) else os.path.dirname(folder), overlay_bytes)
    return Overlays(host, Mapper(host, state), cows, Tools(host, talk))


def mount_volumes(host, talk, state, plan, folder, devices, overlays, checkpoint):
    """Finds the volumes and mounts what can be; returns them all."""
    volumes = discover(host, devices, make_layers(talk, state, overlays), checkpoint)
    # Not before they were looked at: udev takes its time with many disks, and nothing of that needs it.
    checkpoint("Waiting for this machine to take notice of them.")
    settle(host)
    checkpoint()
    offer_programs(host, talk, volumes)
    make_layout(host, state, folder, plan, volumes)
    Mounting(host, state, overlays).mount_all(volumes, checkpoint)
    overlays.cows.end()
    checkpoint("Looking for the machine's own tree.")
    state.note(trees=build_trees(host, state, volumes))
    return volumes


def make_layers(talk, state, overlays):
    """A container is opened before what may span several of them."""
    mapper, tools = overlays.mapper, overlays.tools
    return (
        PartitionTables(mapper, tools),
        Crypt(mapper, overlays, tools, talk),
        Raid(state, mapper, overlays, tools),
        Lvm(mapper, overlays, tools),
        FileSystems(),
    )


def offer_programs(host, talk, volumes):
    """A file system that only a missing program can read: offers to install it."""
    for fs in sorted({volume.fs for volume in volumes if volume.is_mountable()}):
        programs = [each.program for each in WAYS[fs] if each.program is not None]
        by_kernel = any(kernel_has(host, each.type) for each in WAYS[fs] if each.program is None)
        if programs and not by_kernel and not any(host.which(program) for program in programs):
            offer(host, talk, programs[:1], "to read {}".format(fs))
