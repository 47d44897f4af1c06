"""LVM, md, multipath, /dev/disk links of this machine do not touch our disks nor what is on them.

First the same disks come without the script's rules, so that it is seen that it would react.
"""

from bed.initiator import Initiator

LONG = True
INSTALLED = True

DISKS = [("machine", "raw"), ("nested", "raw")]
KEYS = ["open sesame"] * 3
RECORD = "/run/events"
# What this machine makes of disks by itself.
MADE = (
    "dmsetup ls | grep -v '^No devices' | cut -f1; awk '/^md/ {print $1}' /proc/mdstat; "
    "ls /dev/disk/by-uuid /dev/disk/by-label /dev/disk/by-id 2>/dev/null | grep -v : || true; "
    "ls /run/lvm/pvs_online 2>/dev/null || true"
)
# Properties by which a part of the system would take a device for one of its own.
INTEREST = ("ID_FS_TYPE", "ID_FS_UUID", "SYSTEMD_WANTS", "LVM_VG_NAME_COMPLETE", "MD_STARTED")
LINKS = ("by-uuid", "by-label", "by-partuuid", "by-id/scsi", "by-id/wwn", "by-id/md", "by-id/lvm")
STOP_MULTIPATH = "systemctl stop multipathd.socket multipathd.service"
START_MULTIPATH = "systemctl start multipathd.socket multipathd.service"
# What the machine has made of the disks goes from the top.
UNDO = f"""
{STOP_MULTIPATH}
for time in 1 2 3; do
    mdadm --quiet --stop --scan || true
    vgchange -qq -an 2>/dev/null || true
    dmsetup remove_all >/dev/null 2>&1 || true
done
"""


def run(case):
    shell = case.shell
    shell.write("/etc/multipath.conf", "defaults {\n  find_multipaths no\n}\n")
    shell.sh(f"{STOP_MULTIPATH}; modprobe -a dm_multipath btrfs; {START_MULTIPATH}", limit=300)
    case.afterwards(lambda: put_back(shell))
    without_the_script(case)

    before = shell.sh(MADE)
    script = case.script(DISKS)
    monitor = "udevadm monitor --udev --property --subsystem-match=block"
    shell.sh(f"{monitor} >{RECORD} 2>&1 & echo $! >{RECORD}.pid")
    report = script.attach(keys=KEYS)
    report.holds(case.manifests("nested"))
    ours = [name for name in shell.sh(MADE).split() if name not in before.split()]
    arrays = shell.sh("ls -d /sys/block/md4*").replace("/sys/block/", "").split()
    strange = [name for name in ours if not name.startswith("itemlift") and name not in arrays]
    assert not strange, f"made of our disks by the machine: {strange}"
    script.close()
    shell.sh("udevadm settle --timeout=300", limit=400)
    shell.sh(f"kill $(cat {RECORD}.pid)")
    events = shell.read(RECORD).decode("utf-8", "replace").split("\n\n")
    assert len(events) > 50, f"{len(events)} events were recorded"
    for event in events:
        check(event)
    case.say(f"{len(events)} events of udev, none with consequences")
    left = shell.sh(MADE)
    assert left == before, f"{before}\n{left}"


def without_the_script(case):
    """The machine takes the disks for its own, or this scenario would prove nothing."""
    shell = case.shell
    server = case.serve({"web01": DISKS})
    initiator = Initiator.of(case, server.bundle("web01"), server.plain_port)
    initiator.login()
    made = shell.sh("udevadm settle --timeout=300; sleep 2; " + MADE, limit=400)
    for sign in ("vg0-root", "data-left", "md12", "HOME", "mpath"):
        assert sign in made, f"the machine does not react: no {sign} in\n{made}"
    shell.sh(UNDO, limit=400)
    left = shell.sh("dmsetup ls | grep -v '^No devices' || true; grep ^md /proc/mdstat || true")
    assert not left, f"what the machine has made cannot be undone: {left}"
    initiator.logout()
    shell.sh("udevadm settle --timeout=300; rm -rf /run/lvm; " + START_MULTIPATH, limit=400)


def put_back(shell):
    shell.sh(
        f"{STOP_MULTIPATH}; rm -rf /etc/multipath.conf /etc/multipath /run/multipath* /run/lvm "
        f"{RECORD} {RECORD}.pid /etc/lvm/backup/* /etc/lvm/archive/* /run/mdadm"
    )


def check(event):
    """One event as `udevadm monitor --property` prints it: a headline, then NAME=value lines."""
    values = dict(line.partition("=")[::2] for line in event.splitlines() if "=" in line)
    if values.get("ACTION", "remove") == "remove":
        return
    name = values["DEVNAME"]
    seen = {each: values[each] for each in INTEREST if values.get(each)}
    links = values.get("DEVLINKS", "").split()
    taken = [link for link in links if any(part in link for part in LINKS)]
    assert not seen and not taken, f"{name} was taken notice of: {seen} {taken}"
    # When it is added a mapped device has no name yet and a loop device no file: nothing is there.
    if name.startswith(("/dev/sd", "/dev/md")) or "DM_NAME" in values:
        assert values.get("SYSTEMD_READY") == "0", f"{name} is ready for systemd:\n{event}"
