#!/usr/bin/env python3
"""Runs scenarios of the mount script, and of open-iscsi alone, on a Debian kernel under QEMU.

Prints a table scenario × result × seconds and, last, `N passed, N failed`. The guest image and
the disks are made at the first run and kept under target/guest; --rebuild makes them anew.
A scenario with LONG = True takes its time: --all runs it, --ci leaves it out.
"""

import argparse
import concurrent.futures
import importlib
import queue
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bed.bench import Bench
from bed.cache import CACHE, GUEST_FILES, say
from bed.disks import Disks
from bed.image import SUITE, SUITES, GuestImage
from bed.machine import end_all
from bed.port import GuestError

TOOLS = ("qemu-system-x86_64", "qemu-img", "mmdebstrap", "mkfs.ext4", "tgtd", "tgtadm")


def main():
    options = arguments()
    names = scenario_names()
    if options.list:
        for name in names:
            long = "long" if is_long(name) else ""
            print(f"{name:32} {long:5} {load(name).__doc__.strip().splitlines()[0]}")
        return 0
    chosen = options.scenario
    if options.all or options.ci:
        chosen = [name for name in names if options.all or not is_long(name)]
    unknown = sorted(set(chosen) - set(names))
    if unknown or not chosen:
        say(
            f"no such scenario: {', '.join(unknown)}" if unknown else "name some, or --ci, or --all"
        )
        say("run with --list to see them")
        return 2
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        say(f"the guest test needs {', '.join(missing)}: run scripts/apt-tools.sh")
        return 1
    if options.rebuild:
        shutil.rmtree(CACHE, ignore_errors=True)
    return run_all(chosen, options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenario", nargs="*", help="a scenario's name, as --list shows it")
    parser.add_argument("--all", action="store_true", help="run every scenario")
    parser.add_argument("--ci", action="store_true", help="run all but those that are long")
    parser.add_argument("--list", action="store_true", help="show the scenarios")
    parser.add_argument(
        "--suite", choices=SUITES, default=SUITE, help=f"Debian's release in the guest ({SUITE})"
    )
    parser.add_argument("--rebuild", action="store_true", help="make guest image and disks anew")
    parser.add_argument(
        "--jobs", type=int, default=1, help="guests at one time (1); each uses two processors"
    )
    parser.add_argument("--timing", action="store_true", help="say where the mounting time goes")
    parser.add_argument(
        "--keep", action="store_true", help="keep each run's folder, also when it passes"
    )
    return parser.parse_args()


def scenario_names():
    return sorted(path.stem for path in (GUEST_FILES / "scenarios").glob("*.py"))


def load(name):
    return importlib.import_module(f"scenarios.{name}")


def is_long(name):
    return getattr(load(name), "LONG", False)


def run_all(chosen, options):
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=CACHE))
    image, disks = GuestImage(options.suite), Disks()
    benches = [Bench(folder / f"bench{number}", image, disks) for number in range(options.jobs)]
    try:
        results = run_on_all(benches, chosen)
    finally:
        end_all()
    report(results, benches, options)
    failed = sum(1 for _, problem, _ in results if problem)
    if failed or options.keep:
        say(f"logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(results) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def run_on_all(benches, chosen):
    """Name, problem and seconds of each scenario, in the order of `chosen`."""
    free = queue.SimpleQueue()
    for bench in benches:
        free.put(bench)

    def timed(name):
        bench = free.get()
        started = time.monotonic()
        problem = run_one(bench, name)
        seconds = time.monotonic() - started
        say(f"{'FAILED' if problem else 'passed'} {name} ({seconds:.1f} s)")
        if problem:
            say(problem)
        free.put(bench)
        return name, problem, seconds

    pool = concurrent.futures.ThreadPoolExecutor(len(benches))
    try:
        return list(pool.map(timed, chosen))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def run_one(bench, name):
    """What went wrong, as text; None when all was as expected."""
    try:
        return bench.run(name, load(name))
    except GuestError as error:
        bench.discard_machine()
        return f"the test bed failed: {error}"
    except Exception:
        bench.discard_machine()
        return traceback.format_exc()


def report(results, benches, options):
    width = max(len(name) for name, _, _ in results)
    print(f"{'scenario':{width}}  result  seconds")
    for name, problem, seconds in results:
        print(f"{name:{width}}  {'FAILED' if problem else 'passed'}  {seconds:7.1f}")
    boots = [f"{boot:.1f}" for bench in benches for boot in bench.boots]
    print(f"guest booted {len(boots)} times, in {', '.join(boots)} s")
    for bench in benches:
        print("".join(f"{figure}\n" for figure in bench.figures), end="")
        if options.timing:
            print("".join(f"{line}\n" for line in bench.timing), end="")


if __name__ == "__main__":
    sys.exit(main())
