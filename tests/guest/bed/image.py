"""Makes the recovery machine: Debian with its own kernel and open-iscsi, and a small initrd."""

import re
import shutil
import subprocess
from pathlib import Path

from bed import cpio
from bed.cache import GUEST_FILES, cached, recipe_hash, say

SUITE = "bookworm"

# What the mount script may find on a recovery machine, and what makes the disks to recover from.
PACKAGES = (
    *("linux-image-cloud-amd64", "kmod", "udev", "busybox-static", "procps", "psmisc"),
    *("open-iscsi", "python3", "iproute2", "iptables", "openssl", "acl", "attr"),
    *("e2fsprogs", "xfsprogs", "btrfs-progs", "ntfs-3g", "dosfstools", "exfatprogs"),
    *("squashfs-tools", "genisoimage", "parted", "fdisk", "gdisk"),
    *("lvm2", "thin-provisioning-tools", "mdadm", "cryptsetup-bin"),
)

IMAGE_BYTES = 1500 << 20
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

# The kernel has ext4 built in; these find the disk that it is on.
INITRD_MODULES = ("virtio_pci", "virtio_blk")

INITRD_INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in {modules}; do /bin/busybox insmod /modules/$module; done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.02; done
/bin/busybox mount -t ext4 -o noatime,noinit_itable /dev/vda /new
/bin/busybox mount -t tmpfs tmpfs /new/usr/local/lib/guest
/bin/busybox cp /guest/* /new/usr/local/lib/guest/
/bin/busybox umount /dev
exec /bin/busybox switch_root /new /usr/local/lib/guest/init
"""


class GuestImage:
    """The folder with `root.ext4`, `vmlinuz` and `initrd`, made when it is not there yet."""

    def __init__(self):
        key = recipe_hash(
            SUITE, PACKAGES, IMAGE_BYTES, LEFT_OUT, INITRD_MODULES, Path(__file__).read_text()
        )
        self.key = key
        base = cached("image", key, _build)
        self.root = base / "root.ext4"
        self.kernel = base / "vmlinuz"
        # The files of inside/ change often and are small: they travel in the initrd.
        inside = sorted((GUEST_FILES / "inside").iterdir())
        texts = [(path.name, path.read_text()) for path in inside if path.is_file()]
        self.initrd = (
            cached("initrd", recipe_hash(key, texts), lambda folder: _initrd(base, texts, folder))
            / "initrd"
        )


def _build(folder):
    say(f"guest image: bootstrapping Debian {SUITE} (about a minute)")
    tree = folder / "tree"
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt"]
    command += ["--include=" + ",".join(PACKAGES), "--aptopt=APT::Install-Recommends false"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    subprocess.run([*command, SUITE, str(tree), *_apt_sources()], check=True)
    (tree / "usr/local/lib/guest").mkdir()
    (tree / "etc/fstab").write_text("")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost recovery\n")
    _take_boot_files(tree, folder)
    say("guest image: making its file system")
    with open(folder / "root.ext4", "wb") as blank:
        blank.truncate(IMAGE_BYTES)
    make = ["mkfs.ext4", "-q", "-F", "-L", "recovery", "-d", str(tree)]
    subprocess.run([*make, str(folder / "root.ext4")], check=True)
    shutil.rmtree(tree)


def _apt_sources():
    """The machine's own apt sources that offer the suite."""
    apt = Path("/etc/apt")
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    wanted = re.compile(rf"^(Suites:|deb )(.*\s)?{SUITE}(-updates|-security)?(\s|$)", re.MULTILINE)
    found = [
        str(file)
        for file in files
        if file.suffix in (".list", ".sources")
        and file.is_file()
        and wanted.search(file.read_text())
    ]
    if not found:
        raise SystemExit(
            f"cannot make the guest image: no apt source of this machine offers {SUITE}"
        )
    return found


def _take_boot_files(tree, folder):
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    (modules,) = (tree / "lib/modules").iterdir()
    shutil.copy(kernel, folder / "vmlinuz")
    shutil.copy(tree / "bin/busybox", folder / "busybox")
    (folder / "modules").mkdir()
    for number, path in enumerate(_in_load_order(modules)):
        shutil.copy(path, folder / "modules" / f"{number:02}-{path.name}")
    for not_needed in (tree / "boot").iterdir():
        not_needed.unlink()


def _in_load_order(modules):
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[Path(path).name.removesuffix(".ko")] = (path, others.split())
    order = []
    for name in INITRD_MODULES:
        path, others = needs[name]
        # modules.dep names what a module needs from the last to load to the first.
        for each in [*reversed(others), path]:
            if modules / each not in order:
                order.append(modules / each)
    return order


def _initrd(base, inside, folder):
    modules = sorted((base / "modules").iterdir())
    init = INITRD_INIT.format(modules=" ".join(path.name for path in modules))
    entries = [cpio.folder(name) for name in ("bin", "dev", "new", "modules", "guest")]
    entries.append(cpio.file("bin/busybox", (base / "busybox").read_bytes()))
    entries.append(cpio.file("init", init.encode()))
    entries += [cpio.file(f"modules/{path.name}", path.read_bytes()) for path in modules]
    entries += [cpio.file(f"guest/{name}", text.encode()) for name, text in inside]
    (folder / "initrd").write_bytes(cpio.archive(entries))
