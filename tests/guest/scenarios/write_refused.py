"""Nothing can be written: not to a file, not to the mount, not to the disk itself."""

import shlex


def run(case):
    script = case.script([("whole", "raw")])
    report = script.attach()
    volume = report.volume("WHOLE-EXT4")
    path = shlex.quote(volume["path"])
    fails(case.shell, f"touch {path}/new", "Read-only file system")
    fails(case.shell, f"echo more >>{path}/readme.txt", "Read-only file system")
    fails(case.shell, f"rm {path}/readme.txt", "Read-only file system")
    disks = case.shell.sh("lsblk -dno PATH,VENDOR | awk '/ITEMLIFT/ {print $1}'").split()
    assert len(disks) == 1, f"disks of the vendor ITEMLIFT: {disks}"
    for disk in disks:
        assert case.shell.sh(f"blockdev --getro {disk}").strip() == "1", (
            f"{disk} is not write-protected"
        )
        case.shell.run("blockdev", "--setrw", disk)
        fails(case.shell, f"dd if=/dev/zero of={disk} bs=4096 count=1 oflag=direct")
        fails(case.shell, f"blkdiscard -f {disk}")
    report.holds(case.manifests("whole"))
    script.close()


def fails(shell, command, words=""):
    done = shell.run("sh", "-c", command, env={"LC_ALL": "C"})
    assert done.status != 0, f"{command} was let through"
    assert words in done.text, f"{command} failed, but not by {words!r}: {done.text}"
