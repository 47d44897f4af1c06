"""Makes a BitLocker volume: `bitlocker.py DEVICE`. No tool of Debian's can; cryptsetup opens it.

The password is `open sesame`, the cipher AES-XTS with 128 bits. What is inside is written through
the opened device, in the bytes before the metadata, which lies in the last part of the volume.
"""

import os
import struct
import subprocess
import sys

# Where the volume's first sectors are kept, for its own boot sector lies in their place; and the
# metadata, three times. Counted from the end, in KiB; 64 KiB each.
AREAS_FROM_END = (1024, 896, 768, 640)
HEADER_BYTES = 8192
SALT = bytes(range(16))
# The password, stretched: what 2^20 rounds of SHA-256 make of SHA-256(SHA-256(UTF-16 of it)) and
# the salt. An emulated machine would be at it for minutes.
STRETCHED = bytes.fromhex("51489224995992e916a710b0157d6883091d41b79c95592bf65bdcda203e27f9")

NORMAL_VOLUME = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
AES_XTS_128, AES_CCM_256 = 0x8004, 0x2003
ENTIRELY_ENCRYPTED = 4
PASSWORD_PROTECTED = 0x2000
# Types and values of entries.
PROPERTY, VMK, FVEK, VOLUME_HEADER = 0, 2, 3, 15
STRETCH_KEY, ENCRYPTED_KEY, VMK_VALUE, OFFSET_AND_SIZE = 3, 5, 8, 15


def main():
    with open(sys.argv[1], "r+b") as device:
        size = device.seek(0, os.SEEK_END)
        header, *metadata = (size - kib * 1024 for kib in AREAS_FROM_END)
        offsets = struct.pack("<3Q", *metadata)
        boot = bytearray(512)
        boot[:13] = b"\xeb\x58\x90-FVE-FS-" + struct.pack("<H", 512)
        boot[160:200] = NORMAL_VOLUME + offsets
        boot[510:] = b"\x55\xaa"
        write(device, 0, boot)
        block = metadata_block(size, header, offsets)
        for offset in metadata:
            write(device, offset, block.ljust(65536, b"\0"))


def metadata_block(size, header, offsets):
    master, volume = os.urandom(32), os.urandom(32)
    protector = os.urandom(16) + struct.pack("<QHH", 0, 0, PASSWORD_PROTECTED)
    protector += entry(PROPERTY, STRETCH_KEY, struct.pack("<I", 0x1000) + SALT)
    protector += entry(PROPERTY, ENCRYPTED_KEY, wrapped(STRETCHED, master))
    entries = entry(VMK, VMK_VALUE, protector)
    entries += entry(FVEK, ENCRYPTED_KEY, wrapped(master, volume))
    place = struct.pack("<QQ", header, HEADER_BYTES)
    entries += entry(VOLUME_HEADER, OFFSET_AND_SIZE, place)
    length = 48 + len(entries)
    state = (ENTIRELY_ENCRYPTED, ENTIRELY_ENCRYPTED)
    block = b"-FVE-FS-" + struct.pack("<4H", 64 + length, 2, *state)
    block += struct.pack("<QII", size, 0, HEADER_BYTES // 512) + offsets + struct.pack("<Q", header)
    block += struct.pack("<4I", length, 1, 48, length) + os.urandom(16)
    block += struct.pack("<IHHQ", 3, AES_XTS_128, 0, 132000000000000000)
    return block + entries


def entry(kind, value, data):
    return struct.pack("<4H", 8 + len(data), kind, value, 1) + data


def wrapped(key, inner):
    """A key as it stands in the metadata, by AES-CCM: nonce, tag, what was encrypted."""
    plain = struct.pack("<HHII", 12 + len(inner), 1, AES_CCM_256, 0) + inner
    nonce = os.urandom(12)
    check = aes(key, b"\x3a" + nonce + len(plain).to_bytes(3, "big"))
    for at in range(0, len(plain), 16):
        check = aes(key, mixed(check, plain[at : at + 16].ljust(16, b"\0")))
    counters = [b"\x02" + nonce + number.to_bytes(3, "big") for number in range(5)]
    stream = aes(key, b"".join(counters))
    return nonce + mixed(check, stream[:16]) + mixed(plain, stream[16:])


def aes(key, blocks):
    command = ["openssl", "enc", "-aes-256-ecb", "-nopad", "-K", key.hex()]
    return subprocess.run(command, input=blocks, stdout=subprocess.PIPE, check=True).stdout


def mixed(left, right):
    return bytes(a ^ b for a, b in zip(left, right, strict=False))


def write(device, offset, data):
    device.seek(offset)
    device.write(data)


if __name__ == "__main__":
    main()
