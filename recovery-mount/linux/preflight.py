"""What this machine must have, looked at before anything is done."""

import collections
import os
import sys

from cow import IN_MEMORY, overlay_place
from filesystems import WAYS
from foresight import steps
from iscsi import foreign_record, record_in_the_way
from layout import base_name, check_base, free_name
from leftovers import dead_runs
from mounting import MODPROBE_TIMEOUT, known
from outcome import DONE, HOST_LACKS, REFUSED, Stop
from packages import lacking, packages_for, require
from server import ask_grant, open_tls, tls_context
from state import recorded_grants
from table import duration
from unseal import unseal

PROGRAMS = ("iscsiadm", "modprobe", "blkid", "blockdev", "mount", "umount")
KERNEL_MODULE = "iscsi_tcp"
LAYER_PROGRAMS = ("dmsetup", "lvm", "mdadm", "cryptsetup")

Check = collections.namedtuple("Check", "what status detail")


def require_root():
    if os.geteuid() != 0:
        raise Stop(HOST_LACKS, "This script must run as root: sudo python3 -I {}".format(sys.argv[0]))


def prepare(host, talk, folder):
    """Checks the machine and installs what is missing, with consent; raises Stop with what cannot be helped."""
    check_base(host, folder)
    # First what no package mends, so that nothing is installed in vain.
    if not may_have_module(host):
        raise Stop(HOST_LACKS, missing_module())
    require(host, talk, PROGRAMS)
    if not has_module(host):
        raise Stop(HOST_LACKS, missing_module())
    host.run(["modprobe", "-q", "--", KERNEL_MODULE], MODPROBE_TIMEOUT)


def report_checks(host, talk, plan, folder, overlay_bytes, sealed=None, password=None):
    """--check: what is there, line by line, and what a run would do; changes nothing.

    `password` opens the `sealed` secrets, with which the server is asked about the grant; None if it was not given.
    Returns (the exit status, the same for the report).
    """
    server = check_server(plan)
    checks = [
        check_root(),
        check_python(),
        check_programs(host),
        check_module(host),
        check_filesystems(host),
        check_layers(host),
        check_overlays(host, folder, overlay_bytes),
        check_folder(host, plan, folder),
        check_names(host, plan),
        check_earlier(host),
        server,
        check_grant(plan, sealed, password, server),
    ]
    foreseen = steps(host, plan, folder, missing_programs(host))
    talk.say("Checked:")
    for check in checks:
        mark, look = ("ok", None) if check.status == DONE else ("MISSING", "odd")
        talk.say("  {:7}  {}: {}".format(mark, check.what, check.detail), look, indent=11)
    talk.say("A run would:")
    for number, step in enumerate(foreseen, 1):
        talk.say("  {}. {}".format(number, step), indent=5)
    talk.say("--check has changed nothing.")
    reports = [{"what": each.what, "ok": each.status == DONE, "detail": each.detail} for each in checks]
    return max(check.status for check in checks), {"checks": reports, "steps": foreseen}


def check_root():
    if os.geteuid() == 0:
        return Check("User", DONE, "root")
    return Check("User", HOST_LACKS, "not root; run it with sudo")


def check_python():
    return Check("Python", DONE, "{}.{}.{}".format(*sys.version_info[:3]))


def missing_programs(host):
    return [program for program in PROGRAMS if host.which(program) is None]


def check_programs(host):
    missing = missing_programs(host)
    if missing:
        offered = ", ".join(packages_for(host, missing))
        detail = "{}; a run offers to install {}".format(lacking(host, missing), offered)
        return Check("Programs", HOST_LACKS, detail)
    return Check("Programs", DONE, ", ".join(PROGRAMS))


def check_module(host):
    if has_module(host):
        return Check("Kernel", DONE, "{} with {}".format(os.uname().release, KERNEL_MODULE))
    return Check("Kernel", HOST_LACKS, missing_module())


def check_filesystems(host):
    """Which file systems could be mounted; none of them is a must, for nobody knows yet what is on the disks."""
    able = [fs for fs, ways in sorted(WAYS.items()) if any(is_able(host, each) for each in ways)]
    unable = sorted(set(WAYS) - set(able))
    return Check("File systems", DONE, ", ".join(able) + ("; not " + ", ".join(unable) if unable else ""))


def check_layers(host):
    """Programs that are offered when a volume needs them; none is a must."""
    missing = [program for program in LAYER_PROGRAMS if host.which(program) is None]
    detail = ", ".join(program for program in LAYER_PROGRAMS if program not in missing) or "none"
    if missing:
        packages = ", ".join(packages_for(host, missing))
        detail += "; not {}: a run offers to install {} if a volume needs it".format(", ".join(missing), packages)
    return Check("LVM, RAID, encryption", DONE, detail)


def check_overlays(host, folder, size):
    """What replays journals without a write to the recovery point, and where there is room for it."""
    lost = "LVM and RAID stay closed, and what was written last may be missing from other volumes"
    if not host.exists("/sys/module/dm_snapshot") and not could_load(host, "dm-snapshot"):
        return Check("Overlays", DONE, "this kernel has no dm-snapshot: " + lost)
    place, room = overlay_place(host, folder, size)
    if place is None:
        words = "no room for one of {} MiB in memory or in {}: {}; give a smaller --overlay-size"
        return Check("Overlays", DONE, words.format(size >> 20, folder, lost))
    where = "in memory" if place == IN_MEMORY else "in " + folder
    return Check("Overlays", DONE, "{} MiB each and {} MiB together, {}".format(size >> 20, room >> 20, where))


def check_folder(host, plan, folder):
    try:
        check_base(host, folder)
        path = free_name(host, folder, plan)
    except Stop as stop:
        return Check("Mounts below", stop.status, stop.sentence)
    taken = "" if path.endswith("/" + base_name(plan)) else "; {} is there already".format(base_name(plan))
    return Check("Mounts below", DONE, path + taken)


def check_names(host, plan):
    """What a run needs for itself. Groups, arrays, UUIDs and labels of this machine are never in its way."""
    if plan["grant"] not in recorded_grants(host) and foreign_record(host, plan["iqn"]) is not None:
        return Check("Names", HOST_LACKS, record_in_the_way(host, plan["iqn"]))
    return Check("Names", DONE, "none that a run needs is taken")


def check_earlier(host):
    """What runs that died have left; a run offers to clean up."""
    dead = [state.grant for state in dead_runs(host)]
    if dead:
        return Check(
            "Earlier runs", DONE, "left behind by {}: a run offers to clean up after them".format(", ".join(dead))
        )
    return Check("Earlier runs", DONE, "nothing left behind")


def check_server(plan):
    """Without the password there is no client identity: this shows that the server is reached and is the pinned one."""
    where = "{} port {}".format(plan["host"], plan["port"])
    try:
        open_tls(plan, tls_context(plan, "http/1.1")).close()
        return Check("Server", DONE, where + ", certificate as pinned")
    except Stop as stop:
        return Check("Server", stop.status, stop.sentence)


def check_grant(plan, sealed, password, server):
    """Whether the grant may still be used, which the server says to its client alone."""
    if password is None:
        return Check("Grant", DONE, "not asked about, for that needs its password: --check --password-stdin")
    secrets = unseal(sealed, plan, password)
    if secrets is None:
        return Check("Grant", REFUSED, "Wrong password.")
    if server.status != DONE:
        return Check("Grant", DONE, "the password is right; the server cannot be asked")
    try:
        expires_at, now = ask_grant(plan, tls_context(plan, "http/1.1", secrets))
        return Check("Grant", DONE, "the password is right; {} left".format(duration(expires_at - now)))
    except Stop as stop:
        return Check("Grant", stop.status, stop.sentence)


def is_able(host, each):
    if each.program is not None:
        return host.which(each.program) is not None
    return known(host, each.type) or could_load(host, each.type)


def has_module(host):
    return host.exists("/sys/module/" + KERNEL_MODULE) or could_load(host, KERNEL_MODULE)


def may_have_module(host):
    """Whether the module is there or, where modprobe still has to be installed, could be."""
    if host.which("modprobe") is None:
        return host.exists("/sys/module/" + KERNEL_MODULE) or host.exists("/lib/modules/" + os.uname().release)
    return has_module(host)


def could_load(host, module):
    """Asks modprobe without loading anything."""
    return host.run(["modprobe", "-n", "-q", "--", module], MODPROBE_TIMEOUT).status == 0


def missing_module():
    return (
        "The kernel {} has no module {}, which iSCSI needs. A cut-down or container kernel: use another machine, "
        "or install the distribution's full kernel.".format(os.uname().release, KERNEL_MODULE)
    )
