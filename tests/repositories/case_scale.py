"""Snapshots of large disks: memory and time."""

import time

from large import large_snapshot
from resources import memory, reset_peak
from restic import Repository
from served import Served

VM = "large01"
TIB, MIB = 1 << 40, 1 << 20
# README: for each blob 56 bytes in the index, twice while it is renewed, and 40 in an open disk.
INDEX_BYTES, DISK_BYTES = 56, 40
# The program itself, what the allocator keeps, and what a grant and a session cost.
MARGIN = 96 * MIB
# While a folder's list is understood it is in memory: sealed, open, and as names of 32 bytes.
LIST_BYTES = 67 + 67 + 2 * 32
OPENING_SECONDS = 5
# The allocator gives back what opening took within this time.
GIVEN_BACK_SECONDS = 30


def a_terabyte(bed):
    """A snapshot of a raw disk of 1 TiB, in blobs as restic cuts them: what it costs to open it."""
    repository = Repository(bed.store, "large", bed.folder)
    (first, last), blobs = large_snapshot(repository, bed.folder, TIB, VM)
    files = list(repository.files("latest").values())
    assert files == [TIB], f"restic finds files of {files} bytes"
    kept = blobs * (2 * INDEX_BYTES + DISK_BYTES) + MARGIN
    with Served(bed, repository=repository) as server:
        pid = server.process.pid
        server.grant_at_last(VM)
        before = memory(pid)
        reset_peak(pid)
        began = time.monotonic()
        bundle = server.grant_at_last(VM)
        took = time.monotonic() - began
        with server.session(bundle) as session:
            assert session.size == TIB, f"the disk has {session.size} bytes"
            assert session.read_all(0, MIB // 2) == first[: MIB // 2], "its first bytes"
            assert session.read_all(TIB - MIB // 4, MIB // 4) == last[-MIB // 4 :], "its last bytes"
            until = time.monotonic() + GIVEN_BACK_SECONDS
            while memory(pid)["rss"] >= kept and time.monotonic() < until:
                time.sleep(0.5)
            after = memory(pid)
    shown = ", ".join(f"{used['rss'] >> 20} MiB" for used in (before, after))
    print(
        f"    {blobs} blobs; resident with the index and with the disk: {shown}, at most"
        f" {after['peak'] >> 20} MiB while it was opened; a grant in {took:.2f} s",
        flush=True,
    )
    assert after["rss"] < kept, f"{after['rss']} bytes are resident"
    assert after["peak"] < kept + MARGIN + blobs * LIST_BYTES, f"opening took {after['peak']} bytes"
    assert took < OPENING_SECONDS, f"a grant took {took:.1f} s"
