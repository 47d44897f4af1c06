"""Whole disks and random ranges, held against `restic dump`."""

import threading

from bed import VM
from served import Served

RANGES, QUICK_RANGES = 10_000, 2_000
SESSIONS = 4
MAX_BLOCKS = 256
PIECE = 1 << 20
# Format version and compression; `main` is the repository of every other case.
VARIANTS = {"v1": (1, "auto"), "uncompressed": (2, "off"), "max": (2, "max")}


def every_byte(bed):
    """The disks of a repository of version 2, compressed."""
    with Served(bed) as server:
        read_everything(bed, server, bed.disks)


def every_variant(bed):
    """The same of version 1, of version 2 not compressed, and compressed as far as it goes."""
    for name, (version, compression) in VARIANTS.items():
        repository, snapshot = bed.new_repository(name, version, compression)
        with Served(bed, repository=repository) as server:
            read_everything(bed, server, bed.expected(repository, snapshot))


def read_everything(bed, server, disks):
    bundle = server.grant_at_last(VM)
    sizes = [disk.content.stat().st_size for disk in disks]
    found = [disk["size"] for disk in bundle["disks"]]
    assert found == sizes, f"disks of {found} bytes; restic dump gives {sizes}"
    for disk in disks:
        whole_disk(server, bundle, disk)
    number = QUICK_RANGES if bed.quick else RANGES
    for disk in disks:
        random_ranges(bed, server, bundle, disk, number // len(disks))


def whole_disk(server, bundle, disk):
    """From the first byte to the last. QEMU has no mutual CHAP, so this is libiscsi's as well."""
    at = 0
    with server.session(bundle, disk.lun) as session, open(disk.content, "rb") as content:
        while piece := content.read(PIECE):
            assert session.read_all(at, len(piece)) == piece, (
                f"{disk.file}: something of {len(piece)} bytes at {at} differs from restic dump"
            )
            at += len(piece)


def random_ranges(bed, server, bundle, disk, number):
    """Several sessions, each with ranges of its own, most of them short."""
    content, failures = disk.content.read_bytes(), []

    def read(worker):
        chance = bed.random(f"ranges of {disk.file} {worker}")
        try:
            with server.session(bundle, disk.lun) as session:
                for _ in range(number // SESSIONS):
                    at, length = a_range(chance, session)
                    assert session.read_all(at, length) == content[at : at + length], (
                        f"{disk.file}: {length} bytes at {at} are wrong (seed {bed.seed})"
                    )
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=read, args=(worker,)) for worker in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def a_range(chance, session):
    blocks = session.size // session.block
    length = min(blocks, int(MAX_BLOCKS ** chance.random()) or 1)
    return chance.randrange(0, blocks - length + 1) * session.block, length * session.block
