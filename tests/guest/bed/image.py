"""Makes the recovery machine: Debian with its own kernel and open-iscsi, and a small initrd."""

import lzma
import re
import shutil
import subprocess
from pathlib import Path

from bed import cpio
from bed.cache import GUEST_FILES, cached, recipe_hash, say

# Debian's releases that the mount script is tried on, and the one where nothing else is said.
SUITES = ("bullseye", "bookworm", "trixie")
SUITE = "bookworm"

# What the mount script may find on a recovery machine, and what makes the disks to recover from.
PACKAGES = (
    *("linux-image-cloud-amd64", "kmod", "udev", "busybox-static", "procps", "psmisc"),
    *("open-iscsi", "python3", "iproute2", "iptables", "openssl", "acl", "attr"),
    *("e2fsprogs", "xfsprogs", "btrfs-progs", "ntfs-3g", "dosfstools", "exfatprogs"),
    *("squashfs-tools", "genisoimage", "parted", "fdisk", "gdisk"),
    *("lvm2", "thin-provisioning-tools", "mdadm", "cryptsetup-bin"),
    *("mount", "locales"),
)
# Languages that the machine knows.
LOCALES = ("ja_JP",)

IMAGE_BYTES = 1500 << 20
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")

# What finds the root disk, and its file system, as far as the kernel has it not built in.
INITRD_MODULES = ("virtio_pci", "virtio_blk", "ext4")

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
    """A suite's `root.ext4`, `vmlinuz` and `initrd`, made when they are not there yet."""

    def __init__(self, suite=SUITE):
        key = recipe_hash(suite, Path(__file__).read_text())
        self.suite = suite
        self.key = key
        base = cached(f"{suite}-image", key, lambda folder: _build(suite, folder))
        self.root = base / "root.ext4"
        self.kernel = base / "vmlinuz"
        # The files of inside/ change often and are small: they travel in the initrd.
        inside = sorted((GUEST_FILES / "inside").iterdir())
        texts = [(path.name, path.read_text()) for path in inside if path.is_file()]
        self.initrd = (
            cached(
                f"{suite}-initrd",
                recipe_hash(key, texts),
                lambda folder: _initrd(base, texts, folder),
            )
            / "initrd"
        )


def _build(suite, folder):
    say(f"guest image: bootstrapping Debian {suite} (about a minute)")
    tree = folder / "tree"
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt"]
    command += ["--include=" + ",".join(PACKAGES), "--aptopt=APT::Install-Recommends false"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT]
    command += [
        f"--customize-hook=chroot $1 localedef -i {name} -f UTF-8 {name}.UTF-8" for name in LOCALES
    ]
    sources = _apt_sources(suite, folder)
    subprocess.run([*command, suite, str(tree), *sources], check=True)
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


def _apt_sources(suite, folder):
    """Files that name the places where this machine gets Debian from, for the suite."""
    apt = Path("/etc/apt")
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    found = []
    for file in files:
        if file.suffix in (".list", ".sources") and file.is_file():
            separator = "\n\n" if file.suffix == ".sources" else "\n"
            entries = [_entry_for(suite, entry) for entry in file.read_text().split(separator)]
            if any(entries):
                copy = folder / f"{len(found)}{file.suffix}"
                copy.write_text(separator.join(filter(None, entries)) + "\n")
                found.append(str(copy))
    if not found:
        raise SystemExit(
            f"cannot make the guest image: no apt source of this machine offers {SUITE}"
        )
    return found


def _entry_for(suite, entry):
    """An entry of apt's sources that offers SUITE, for the suite; None if it is another one.

    Of other suites the release alone is taken: of what came after an old one, mirrors keep a part.
    """
    later = "(-updates|-security)?" if suite == SUITE else ""
    if not re.search(rf"^(Suites:|deb )(.*\s)?{SUITE}{later}(\s|$)", entry, re.MULTILINE):
        return None
    if suite == SUITE:
        return entry
    return re.sub(rf"\s{SUITE}-[a-z-]+\b", "", entry).replace(SUITE, suite)


def _take_boot_files(tree, folder):
    (kernel,) = (tree / "boot").glob("vmlinuz-*")
    (modules,) = (tree / "lib/modules").iterdir()
    shutil.copy(kernel, folder / "vmlinuz")
    shutil.copy(tree / "bin/busybox", folder / "busybox")
    (folder / "modules").mkdir()
    for number, path in enumerate(_in_load_order(modules)):
        # Newer suites keep modules compressed, and the initrd's insmod wants them as they are.
        content = path.read_bytes()
        content = lzma.decompress(content) if path.suffix == ".xz" else content
        (folder / "modules" / f"{number:02}-{path.name.removesuffix('.xz')}").write_bytes(content)
    for not_needed in (tree / "boot").iterdir():
        not_needed.unlink()


def _in_load_order(modules):
    needs = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[Path(path).name.partition(".")[0]] = (path, others.split())
    order = []
    for name in INITRD_MODULES:
        if name not in needs:
            continue  # built in
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
