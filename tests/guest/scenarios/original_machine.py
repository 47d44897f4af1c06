"""On the machine that was backed up, with its volumes in use: all is mounted beside them."""

LONG = True
HOST_DISKS = ("lvm", "md", "btrfs")

# What the machine itself uses: by its own names, at its own places.
USE = """
modprobe btrfs
udevadm trigger --action=add --subsystem-match=block
udevadm settle --timeout=100
mdadm --assemble --scan --quiet 2>&1 || true
udevadm settle --timeout=100
vgchange -qq -ay 2>&1 || true
btrfs device scan >/dev/null
mkdir -p /srv/xfs /srv/striped /srv/md /srv/btrfs /srv/two
mount -L LV-XFS /srv/xfs
mount -L LV-STRIPED /srv/striped
mount -L MD-RAID5 /srv/md
mount -L BTRFS-SUB /srv/btrfs
mount -L BTRFS-TWO /srv/two
for place in xfs striped md btrfs two; do echo "of today" >/srv/$place/today; done
sync
"""


def run(case):
    shell = case.shell
    case.shell.sh(USE, limit=300)
    # All that the machine uses by now is its own, and must be there afterwards.
    case.open()
    before = the_machines_own(shell)
    script = case.script([("lvm", "raw"), ("md", "raw"), ("btrfs", "raw")])
    report = script.attach(expected=5)
    report.holds(case.manifests("lvm", "md", "btrfs"))
    for place in ("xfs", "striped", "md", "btrfs", "two"):
        assert shell.read(f"/srv/{place}/today") == b"of today\n", place
        shell.sh(f"echo more >>/srv/{place}/today; sync")
    during = the_machines_own(shell)
    assert during == before, f"{before}\n{during}"
    script.close()
    after = the_machines_own(shell)
    assert after == before, f"{before}\n{after}"
    for place in ("xfs", "striped", "md", "btrfs", "two"):
        shell.sh(f"test $(cat /srv/{place}/today | wc -l) = 2")


def the_machines_own(shell):
    """Links, arrays, mapped devices and what is mounted from where, without what is ours."""
    return shell.sh(
        "find /dev/disk /dev/md /dev/vg0 -type l -printf '%p -> %l\\n' "
        "| grep -v 'itemlift\\|by-diskseq' | sort; "
        "dmsetup table | grep -v ^itemlift | sort; grep -A1 ^md12 /proc/mdstat; "
        "findmnt -r -o TARGET,SOURCE | grep /srv"
    )
