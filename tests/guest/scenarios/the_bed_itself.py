"""open-iscsi against tgt: login, mount, equal files; and the checks themselves can fail."""

import time

from bed.compare import differences
from bed.server import free_port
from bed.tgt import INITIATOR, IQN, TARGET, Tgt

# One leak of each kind: how it comes, how it goes, and what the comparison says of it.
LEAKS = (
    ("mount -t tmpfs leak /srv", "umount /srv", "+ mounts: leak on /srv"),
    (
        "truncate -s 8M /var/tmp/leak; losetup /dev/loop5 /var/tmp/leak",
        "losetup -d /dev/loop5; rm /var/tmp/leak",
        "+ block devices: loop5 /var/tmp/leak",
    ),
    (
        "mdadm --quiet --build /dev/md9 --level=1 --raid-devices=2 /dev/loop5 missing",
        "mdadm --quiet --stop /dev/md9; rm -rf /run/mdadm",
        "+ block devices: md9",
    ),
    (
        "dmsetup create leak --table '0 8 error'",
        "dmsetup remove leak",
        "+ block devices: dm-0 leak",
    ),
    (
        "iscsiadm -m node -o new -T iqn.2026-11.example:leak -p 10.0.2.2:1",
        "iscsiadm -m node -o delete -T iqn.2026-11.example:leak",
        "+ configuration: /etc/iscsi/nodes/iqn.2026-11.example:leak",
    ),
    (
        "cp -p /etc/iscsi/iscsid.conf /root/kept; echo '# leak' >>/etc/iscsi/iscsid.conf",
        "mv /root/kept /etc/iscsi/iscsid.conf",
        "- configuration: /etc/iscsi/iscsid.conf",
    ),
    (
        "mkdir /run/udev/rules.d; echo '# leak' >/run/udev/rules.d/99-leak.rules",
        "rm -r /run/udev/rules.d",
        "+ udev rules: /run/udev/rules.d/99-leak.rules",
    ),
    ("touch /run/leak", "rm /run/leak", "+ files: /run/leak"),
    (
        "busybox nc -l -p 4242 >/dev/null 2>&1 </dev/null & echo $! >/root/leak.pid",
        "kill $(cat /root/leak.pid); rm /root/leak.pid",
        "busybox nc -l -p 4242",
    ),
    ("true", "true", "+ listening: port 4242"),
)


def run(case):
    port = free_port()
    tgt = Tgt(case.folder / "tgt", port, [case.disks["whole"].form("raw")])
    try:
        log_in(case.shell, port)
        mount_and_compare(case)
        assert any("+ iSCSI: session" in line for line in case.host.changes(settle=0)), (
            "a session left behind is not noticed"
        )
        each_leak_is_noticed(case)
    finally:
        case.shell.run("umount", "/mnt/bed")
        case.shell.run("iscsiadm", "-m", "node", "-T", IQN, "-u")
        case.shell.run("iscsiadm", "-m", "node", "-T", IQN, "-o", "delete")
        case.shell.run("rmdir", "/mnt/bed")
        tgt.kill()


def log_in(shell, port):
    portal = f"10.0.2.2:{port}"
    node = f"iscsiadm -m node -T {IQN} -p {portal}"
    settings = {
        "node.session.auth.authmethod": "CHAP",
        "node.session.auth.username": INITIATOR[0],
        "node.session.auth.password": INITIATOR[1],
        "node.session.auth.username_in": TARGET[0],
        "node.session.auth.password_in": TARGET[1],
    }
    shell.sh(f"{node} -o new")
    for name, value in settings.items():
        shell.sh(f"{node} -o update -n {name} -v {value}")
    shell.sh(f"{node} -l")
    shell.sh(
        "udevadm settle; mkdir /mnt/bed; mount -o ro,noload,nosuid,nodev,noexec /dev/sda /mnt/bed"
    )


def each_leak_is_noticed(case):
    case.shell.sh("\n".join(come for come, _, _ in LEAKS))
    time.sleep(1)
    found = case.host.changes(settle=0)
    case.shell.sh("\n".join(go for _, go, _ in reversed(LEAKS)))
    missed = [say for _, _, say in LEAKS if not any(say in line for line in found)]
    assert not missed, "not noticed: {}\n{}".format(missed, "\n".join(found))


def mount_and_compare(case):
    expected = case.disks["whole"].manifests()["WHOLE-EXT4"]
    wrong = differences(case.shell, "/mnt/bed", "ext4", expected)
    assert not wrong, "\n".join(wrong)
    altered = dict(expected, readme=expected["readme.txt"])
    altered["empty"] = dict(expected["empty"], mode="0o777")
    found = differences(case.shell, "/mnt/bed", "ext4", altered)
    assert found == ["empty: mode 0o777 -> 0o644", "readme: missing"], (
        f"the comparison is blind: {found}"
    )
    written = case.shell.run(
        "dd", "if=/dev/zero", "of=/dev/sda", "bs=4096", "count=1", "conv=fsync"
    )
    assert written.status != 0, "tgt's LUN could be written to"
