"""open-iscsi against tgt: login, mount, equal files; and the checks themselves can fail."""

from bed.compare import differences
from bed.server import free_port
from bed.tgt import INITIATOR, IQN, TARGET, Tgt


def run(case):
    port = free_port()
    tgt = Tgt(case.folder / "tgt", port, [case.disks["whole"].form("raw")])
    try:
        log_in(case.shell, port)
        mount_and_compare(case)
        assert any("iSCSI" in line for line in case.host.changes(settle=0)), (
            "a session left behind is not noticed"
        )
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
