#!/usr/bin/env python3
"""How fast a repository is read: first byte, from end to end, cold blocks, hot blocks, memory.

The disk holds random bytes, so that every one of them comes from a pack. One reader, one
command at a time, but for hot blocks, which `itemlift bench` reads with 32 outstanding.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.append(str(Path(__file__).resolve().parents[1] / "interop"))

from bed import VM
from client import bench
from daemon import must
from disks import MIB
from resources import memory
from restic import Repository
from run import STORES
from served import Served
from server import BINARY

BLOCK = 4096
# One cold read in each so many MiB: chunks are smaller, so that none is asked for twice.
COLD_EVERY_MIB = 4
# Fits what the server keeps of decoded chunks.
HOT_MIB = 64


def main():
    options = arguments()
    for name in options.store or ["local", "s3"]:
        with (
            tempfile.TemporaryDirectory(prefix="itemlift-") as folder,
            STORES[name](Path(folder)) as store,
        ):
            print(f"{name}, {options.mib} MiB")
            measure(prepare(Path(folder), store, options), options)
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", action="append", choices=STORES)
    parser.add_argument("--mib", type=int, default=512, help="of the disk (%(default)s)")
    parser.add_argument("--binary", type=Path, default=BINARY, help="(%(default)s)")
    return parser.parse_args()


def prepare(folder, store, options):
    machine, beside = folder / "machine", folder / "beside"
    machine.mkdir()
    beside.mkdir()
    for name, mib in (("disk0.raw", options.mib), ("disk1.raw", HOT_MIB)):
        with open(machine / name, "wb") as image:
            for at in range(mib):
                image.write(random.Random(f"{name} {at}").randbytes(MIB))
    repository = Repository(store, "main", folder)
    snapshot = repository.backup(machine, VM)
    bed = SimpleNamespace(folder=folder, beside=beside, binary=options.binary)
    bed.repository, bed.snapshot, bed.machine = repository, snapshot, machine
    return bed


def measure(bed, options):
    started = time.monotonic()
    bed.repository.dump(bed.snapshot, "/disk0.raw", "/dev/null")
    dump = time.monotonic() - started
    must(["rm", "-rf", bed.repository.environment["RESTIC_CACHE_DIR"]])
    tell("restic dump", f"{options.mib / dump:.0f} MiB/s")
    with Served(bed) as server:
        started = time.monotonic()
        bundle = server.create_grant(VM)
        granted = time.monotonic() - started
        with server.session(bundle) as session:
            session.read(0, BLOCK)
            tell("grant", f"{granted:.2f} s")
            tell("grant to first byte", f"{time.monotonic() - started:.2f} s")
            started = time.monotonic()
            for at in range(options.mib):
                session.read_all(at * MIB, MIB)
            rate = options.mib / (time.monotonic() - started)
            tell("from end to end", f"{rate:.0f} MiB/s, {rate * dump / options.mib:.2f} of dump")
        tell("memory", "{rss} MiB, peak {peak} MiB".format(**in_mib(server)))
    cold_and_hot(bed, options)


def cold_and_hot(bed, options):
    with Served(bed) as server:
        bundle = server.create_grant(VM)
        chance, seconds = random.Random(4), []
        with server.session(bundle) as session:
            places = range(0, options.mib, COLD_EVERY_MIB)
            for place in chance.sample(places, len(places)):
                seconds.append(session.read(place * MIB, BLOCK).seconds)
        percent = statistics.quantiles(seconds, n=100)
        tell("cold 4 KiB", f"median {percent[49] * 1000:.1f} ms, p99 {percent[98] * 1000:.1f} ms")
        with server.session(bundle, 1) as session:
            for at in range(HOT_MIB):
                session.read_all(at * MIB, MIB)
        flags = ["--lun=1", "--block=4K", "--queue-depth=32", "--seconds=5"]
        with bench(server, [server.bundle_file], True, *flags) as run:
            report = run.report(60)
        p50, p99 = (report["latency"][name] / 1000 for name in ("p50_us", "p99_us"))
        tell("hot 4 KiB", f"{report['iops']:,.0f} IOPS, p50 {p50:.1f} ms, p99 {p99:.1f} ms")
        tell("memory", "{rss} MiB, peak {peak} MiB".format(**in_mib(server)))


def in_mib(server):
    return {name: size // MIB for name, size in memory(server.process.pid).items()}


def tell(what, figure):
    print(f"  {what:<22}{figure}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
