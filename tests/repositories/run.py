#!/usr/bin/env python3
"""Repositories on every kind of storage, read over iSCSI by initiators that are not ours.

Debian's restic makes the repositories and says what they hold. Each store is started for
the run and ended with it: a folder, restic's REST protocol, Ceph's S3, Azure Blob by
Azurite, SFTP. Between the server and a store that speaks HTTP stands a proxy which makes
every fault that a network and a busy storage have. `--list` names the cases.
"""

import argparse
import inspect
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "interop"))

import case_damage
import case_faults
import case_life
import case_reading
import case_scale
import case_sftp
import case_sharing
import case_tls
from azurite import Azurite
from bed import make_bed
from local import Local
from radosgw import Radosgw
from rest import Rest
from server import BINARY
from sftp import Sftp

STORES = {store.name: store for store in (Local, Rest, Radosgw, Azurite, Sftp)}
HTTP = {"rest", "s3", "azure"}
FAR = {*HTTP, "sftp"}
# Case -> the stores that it is for. What lies in files is damaged where they are at hand.
CASES = {
    case_reading.every_byte: set(STORES),
    case_reading.every_variant: {"local"},
    case_life.a_new_snapshot_appears: set(STORES),
    case_life.a_forgotten_snapshot_is_a_medium_error: set(STORES),
    case_damage.flipped_bytes_are_never_wrong_data: {"local"},
    case_damage.lost_files_are_never_wrong_data: {"local"},
    case_faults.every_fault: HTTP,
    case_faults.many_small_faults: HTTP,
    case_faults.what_is_lost_while_the_index_crawls: HTTP,
    case_faults.nobody_else_waits: FAR,
    case_faults.the_store_goes_away: FAR,
    case_sharing.one_fetch_for_many_readers: HTTP,
    case_tls.over_tls: HTTP,
    case_sftp.no_ssh_outlives_the_server: {"sftp"},
    case_scale.a_terabyte: {"local"},
}
# What scripts/test.sh has time for.
QUICK = {
    "local": ["every_byte", "a_forgotten_snapshot_is_a_medium_error"],
    "s3": ["every_byte", "many_small_faults", "nobody_else_waits"],
}


def main():
    options = arguments()
    # Ends what was started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if options.list:
        for case, stores in CASES.items():
            print(f"{case.__name__} ({', '.join(sorted(stores))}): {inspect.getdoc(case)}")
        return 0
    passed, failed, started = 0, [], time.monotonic()
    for name in chosen_stores(options):
        cases = chosen_cases(options, name)
        if cases:
            good, bad = run_store(name, cases, options)
            passed, failed = passed + good, failed + bad
    for case in failed:
        print(f"FAILED: {case}")
    print(f"{passed} passed, {len(failed)} failed, {time.monotonic() - started:.0f} s")
    return 1 if failed or not passed else 0


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [case.__name__ for case in CASES]
    parser.add_argument("--store", action="append", choices=STORES, help="only this one")
    parser.add_argument("--only", action="append", choices=names, help="only this case")
    parser.add_argument("--quick", action="store_true", help="what scripts/test.sh has time for")
    parser.add_argument("--list", action="store_true", help="name the cases and end")
    parser.add_argument("--seed", type=int, default=4, help="of all that is random (%(default)s)")
    parser.add_argument("--binary", type=Path, default=BINARY, help="(%(default)s)")
    return parser.parse_args()


def chosen_stores(options):
    return options.store or (QUICK if options.quick else STORES)


def chosen_cases(options, store):
    cases = [case for case, stores in CASES.items() if store in stores]
    wanted = options.only or (QUICK.get(store, []) if options.quick else None)
    return [case for case in cases if wanted is None or case.__name__ in wanted]


def run_store(name, cases, options):
    passed, failed, started = 0, [], time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="itemlift-") as folder,
        STORES[name](Path(folder)) as store,
    ):
        up = time.monotonic() - started
        bed = make_bed(Path(folder), store, options)
        print(f"{name}: up in {up:.1f} s, prepared in {time.monotonic() - started:.1f} s")
        for case in cases:
            before = time.monotonic()
            try:
                case(bed)
                passed += 1
                verdict = "ok"
            except Exception:
                traceback.print_exc()
                failed.append(f"{name}: {case.__name__}")
                verdict = "FAILED"
            print(f"  {case.__name__}: {verdict}, {time.monotonic() - before:.1f} s", flush=True)
    return passed, failed


if __name__ == "__main__":
    sys.exit(main())
