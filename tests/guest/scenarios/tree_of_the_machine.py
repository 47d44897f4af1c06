"""On the machine itself, its volumes in use: its tree of then is below VM-POINT/root."""

HOST_DISKS = ("machine",)
PLACES = ("", "/boot", "/boot/efi", "/var/log", "/home")

# What the machine itself uses: the same volume group, the same btrfs.
USE = """
modprobe btrfs
udevadm trigger --action=add --subsystem-match=block
udevadm settle --timeout=100
vgchange -qq -ay 2>&1 || true
btrfs device scan >/dev/null
mkdir -p /srv/root /srv/home
mount /dev/vg0/root /srv/root
mount -L HOME /srv/home
"""
WRITE = (
    "for place in root home; do echo more >>/srv/$place/today; done; sync; cat /srv/*/today | wc -l"
)


def run(case):
    shell = case.shell
    shell.sh(USE, limit=300)
    # All that the machine uses by now is its own, and must be there afterwards.
    case.open()
    before = the_machines_own(shell)
    assert shell.sh(WRITE).split()[-1] == "2"
    script = case.script([("machine", "raw")])
    report = script.attach()
    assert shell.sh(WRITE).split()[-1] == "4"
    assert the_machines_own(shell) == before
    top = report.volume("ROOT")["path"].rpartition("/")[0]
    for place in PLACES:
        found = shell.read(f"{top}/root{place}/where").decode().strip()
        assert found == (place.strip("/") or "."), f"{place} holds {found}"
    assert shell.read(f"{top}/root/home/user/letter.txt") == b"one file back\n"
    assert shell.read("/etc/hosts").startswith(b"127.0.0.1"), "something lies on /etc/hosts"
    assert not shell.must("ls", f"{top}/root/srv"), "something lies on /srv"
    for line in shell.sh(f"findmnt -R -n -l -o TARGET,OPTIONS {top}/root").splitlines():
        place, options = line.rsplit(" ", 1)
        missing = {"ro", "nosuid", "nodev", "noexec"} - set(options.split(","))
        assert not missing, f"{place} is mounted without {missing}"
    # Mounts are shared here, as systemd has it: nothing of the tree is seen elsewhere.
    places = shell.sh(f"findmnt -n -l -o TARGET | grep ^{top}/Volume").split()
    assert sorted(places) == sorted(volume["path"] for volume in report.volumes), places
    status = script.run("--status").text
    assert f"{top}/root" in status, status
    script.close()
    assert the_machines_own(shell) == before
    assert shell.sh(WRITE).split()[-1] == "6"


def the_machines_own(shell):
    """Links, mapped devices and what is mounted from where, without what is ours."""
    return shell.sh(
        "find /dev/disk /dev/vg0 -type l -printf '%p -> %l\\n' "
        "| grep -v 'itemlift\\|by-diskseq' | sort; "
        "dmsetup table | grep -v ^itemlift | sort; findmnt -r -o TARGET,SOURCE | grep /srv/"
    )
