"""Disks of a VM as files, and what they hold: the files themselves are never read by itemlift."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

from daemon import must

MIB = 1 << 20
RAW, CHAIN = "disk0.raw", "disk1.qcow2"
CHAIN_BASE = "disk1-base.qcow2"


@dataclass(frozen=True)
class Disk:
    """A disk of a recovery point: its LUN, the file that holds it, and all that it must read as."""

    lun: int
    file: str
    content: Path


def raw_disk(folder, mib):
    """An ext4 with compressible, random and repeated files, and much that was never written."""
    tree = folder / "tree"
    tree.mkdir()
    seed = random.Random(mib)
    (tree / "noise.bin").write_bytes(seed.randbytes(mib * MIB // 3))
    words = [seed.randbytes(6).hex() for _ in range(1000)]
    text = "\n".join(seed.choices(words, k=mib * MIB // 130)).encode()
    (tree / "text.log").write_bytes(text)
    # The same again: its chunks are in the repository once.
    (tree / "text.log.1").write_bytes(text)
    image = folder / RAW
    must(["mkfs.ext4", "-q", "-d", tree, image, f"{mib}M"])
    return image


def chain(folder, mib):
    """A qcow2 on a compressed qcow2, the upper one written in places of its own."""
    seed = random.Random(mib)
    content = bytearray(mib * MIB)
    for _ in range(mib):
        at = seed.randrange(0, len(content) - MIB)
        content[at : at + MIB // 2] = seed.randbytes(MIB // 2)
    plain = folder / "chain.raw"
    plain.write_bytes(content)
    must(["qemu-img", "convert", "-O", "qcow2", "-c", plain, folder / CHAIN_BASE])
    plain.unlink()
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", CHAIN_BASE, "-F", "qcow2", CHAIN]
    must(command, folder=folder)
    writes = []
    for _ in range(2 * mib):
        at = seed.randrange(0, len(content) - 70000) & ~511
        writes += [
            "-c",
            f"write -q -P {seed.randrange(1, 256)} {at} {seed.randrange(1, 130) * 512}",
        ]
    must(["qemu-io", *writes, folder / CHAIN])


def grow(folder, seed):
    """The raw disk a day later: something written in its first third, the rest as it was."""
    with open(folder / RAW, "r+b") as image:
        size = os.fstat(image.fileno()).st_size
        for _ in range(8):
            image.seek(seed.randrange(0, size // 3) & ~4095)
            image.write(seed.randbytes(64 << 10))


def expected(repository, snapshot, folder):
    """The disks of a snapshot by restic and qemu-img, in the order of their LUNs."""
    folder.mkdir()
    for path in repository.files(snapshot):
        repository.dump(snapshot, path, folder / Path(path).name)
    disks = [Disk(0, RAW, folder / RAW)]
    if (folder / CHAIN).exists():
        flat = folder / "disk1.content"
        must(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", folder / CHAIN, flat])
        disks.append(Disk(1, CHAIN, flat))
    return disks
