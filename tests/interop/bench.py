#!/usr/bin/env python3
"""Reads side by side: itemlift and tgt, plain and through TLS, by iscsi-perf.

Runs alternate, so that a machine whose speed drifts is fair to both; each figure is
the median, with the lowest and the highest behind it. The image is in the page cache.
"""

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from resources import cpu_seconds
from server import BINARY, Server
from tgt import Tgt

IMAGE_BYTES = 128 << 20
WORKLOADS = {
    "4 KiB random QD32": ["-b", "8", "-m", "32", "-r"],
    "128 KiB QD32": ["-b", "256", "-m", "32"],
}
AVERAGE = re.compile(r"iops average (\d+) \((\d+) MB/s\)")


def main():
    options = arguments()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        image = make_image(folder)
        peers = start_peers(stack, image, options.binary)
        for workload, flags in WORKLOADS.items():
            figures = {name: [] for name in peers}
            for _ in range(options.runs):
                for name, (url, pids) in peers.items():
                    figures[name].append(run(url, flags, options.seconds, pids))
            print_table(workload, figures)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a run (default 3)")
    return parser.parse_args()


def make_image(folder):
    image = folder / "disk0.raw"
    with open(image, "wb") as out:
        for _ in range(IMAGE_BYTES >> 20):
            out.write(os.urandom(1 << 20))
    return image


def start_peers(stack, image, binary):
    """Maps a name to the URL to read from and the ids of the server's processes."""
    server = stack.enter_context(Server([image], binary))
    tunnel = stack.enter_context(server.tunnel())
    tgt = stack.enter_context(Tgt(image))
    stunnel, stunnel_server, _ = stack.enter_context(tgt.stunnel())
    ours, theirs = [server.process.pid], [tgt.process.pid]
    return {
        "itemlift plain": (server.url(server.plain_port), ours),
        "tgt plain": (tgt.url(tgt.port), theirs),
        "itemlift TLS": (server.url(tunnel), ours),
        "tgt + stunnel": (tgt.url(stunnel), [*theirs, stunnel_server.pid]),
    }


def run(url, flags, seconds, pids):
    """One run of iscsi-perf: (IOPS, MB/s, server CPU seconds)."""
    before = cpu_seconds(pids)
    # iscsi-perf ignores SIGTERM and retries a dead target for ever: the time limit kills.
    done = subprocess.run(
        ["iscsi-perf", *flags, "-t", str(seconds), url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 20,
    )
    averages = AVERAGE.findall(done.stdout)
    if done.returncode or not averages:
        raise RuntimeError(f"iscsi-perf, status {done.returncode}: {done.stderr}{done.stdout}")
    return int(averages[-1][0]), int(averages[-1][1]), cpu_seconds(pids) - before


def print_table(workload, figures):
    print(f"\n{workload}")
    print(f"  {'':16} {'IOPS':>8} {'(min–max)':>17} {'MB/s':>6} {'server CPU s':>13}")
    for name, runs in figures.items():
        iops = [one[0] for one in runs]
        print(
            f"  {name:16} {statistics.median(iops):8.0f}"
            f" {f'({min(iops)}–{max(iops)})':>17}"
            f" {statistics.median(one[1] for one in runs):6.0f}"
            f" {statistics.median(one[2] for one in runs):13.2f}"
        )


if __name__ == "__main__":
    main()
