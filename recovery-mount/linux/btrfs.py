"""btrfs knows its devices by the file system's id alone: a copy beside the original would be taken for it.

So each gets another id on its overlays, the way `btrfstune -m` does it: the new id in the superblock, the old one kept
as metadata UUID, which the trees carry. Linux 5.0 and later.
"""

import fcntl
import hashlib
import os
import struct
import uuid

SUPERBLOCK_AT = 65536
SUPERBLOCK_BYTES = 4096
CSUM_BYTES = 32
FSID_AT = 0x20
MAGIC_AT, MAGIC = 0x40, b"_BHRfS_M"
INCOMPAT_AT = 0xBC
METADATA_UUID_FLAG = 1 << 10
CSUM_TYPE_AT = 0xC4
METADATA_UUID_AT = 0x23B

# linux/btrfs.h: struct btrfs_ioctl_vol_args is a descriptor and a path.
BTRFS_CONTROL = "/dev/btrfs-control"
BTRFS_IOC_FORGET_DEV = 0x50009405
VOL_ARGS = struct.Struct("=q4088s")
CRC32C_POLYNOMIAL = 0x82F63B78


def give_new_id(host, devices):
    """Gives the file system on these overlays an id of its own; None, or why that cannot be."""
    new = uuid.uuid4().bytes
    for device in devices:
        block = host.read_bytes(device.path, SUPERBLOCK_AT, SUPERBLOCK_BYTES) or b""
        changed, problem = with_new_id(block, new)
        if problem is None and not host.write_bytes(device.path, SUPERBLOCK_AT, changed):
            problem = "its superblock cannot be written to the overlay"
        if problem is not None:
            return problem
    return None


def with_new_id(block, new):
    """(the superblock under another id, None), or (None, why not)."""
    if len(block) != SUPERBLOCK_BYTES or block[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC:
        return None, "it has no btrfs superblock"
    changed = bytearray(block)
    (incompat,) = struct.unpack_from("<Q", block, INCOMPAT_AT)
    if not incompat & METADATA_UUID_FLAG:
        changed[METADATA_UUID_AT : METADATA_UUID_AT + 16] = block[FSID_AT : FSID_AT + 16]
        struct.pack_into("<Q", changed, INCOMPAT_AT, incompat | METADATA_UUID_FLAG)
    changed[FSID_AT : FSID_AT + 16] = new
    (kind,) = struct.unpack_from("<H", block, CSUM_TYPE_AT)
    if kind not in CHECKSUMS:
        return None, "its checksums are of a kind that this script does not know"
    changed[:CSUM_BYTES] = CHECKSUMS[kind](bytes(changed[CSUM_BYTES:])).ljust(CSUM_BYTES, b"\0")
    return bytes(changed), None


def crc32c(data):
    """The CRC of RFC 3720 B.4, bit by bit: it is wanted for four kilobytes at a time."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value >> 1) ^ (CRC32C_POLYNOMIAL if value & 1 else 0)
    return struct.pack("<I", value ^ 0xFFFFFFFF)


# By csum_type of the superblock; 1, xxHash, is not in Python's library.
CHECKSUMS = {
    0: crc32c,
    2: lambda data: hashlib.sha256(data).digest(),
    3: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}


def forget(host, paths):
    """Makes the kernel forget devices that it keeps a note of though they are not mounted any more."""
    for path in paths:
        try:
            control = os.open(host.at(BTRFS_CONTROL), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        try:
            fcntl.ioctl(control, BTRFS_IOC_FORGET_DEV, bytearray(VOL_ARGS.pack(0, path.encode())))
        except OSError:
            pass  # it knows nothing of it, or is too old to be asked
        finally:
            os.close(control)
