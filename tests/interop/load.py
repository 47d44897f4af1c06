#!/usr/bin/env python3
"""The server under load: 200 sessions that read, 1,000 that do not, a revoke while 200 read.

`load` reads with every byte compared and tells latencies, memory and processor time;
`idle` tells what a session costs that does nothing; `revoke` how long it takes from the
command to the last connection closed. Prints a table for each and, as the last line, all
figures as JSON. The status is 1 if a figure is not what it has to be: an error, an idle
session that costs too much, a revoke that takes too long.

As it is, it takes half a minute. For figures to quote, on a machine with nothing else to do:
load.py --seconds 600 --image-mib 1024 --settle-seconds 30 --idle-seconds 70
(the target asks who is quiet after 30 s, and memory goes back to the system in about 20).
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from client import SPARE_SECONDS, bench, grants, port
from idle import idle
from resources import connections, cpu_seconds, memory, reset_peak
from server import BINARY, Server

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# What has to hold.
IDLE_SESSION_BYTES = 64 * KIB
REVOKE_SECONDS = 5
# What the sessions of a revoked grant may see, and nothing else.
SEEN_BY_REVOKED = (
    "the target asks for a logout",
    "the target rejected a PDU, reason 0x0c",
    "connection lost",
)


def main():
    options = arguments()
    figures, wrong = {}, []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        image = make_image(folder, options.image_mib)
        for name in options.parts or PARTS:
            figures[name], faults = PARTS[name](image, options)
            wrong += faults
    for fault in wrong:
        print(f"NOT AS IT HAS TO BE: {fault}")
    print(json.dumps(figures))
    return 1 if wrong else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--image-mib", type=int, default=256, help="(default 256)")
    parser.add_argument("--seconds", type=int, default=5, help="of reading (default 5)")
    parser.add_argument("--sessions", type=int, default=200, help="that read (default 200)")
    parser.add_argument("--queue-depth", type=int, default=32)
    parser.add_argument("--block", default="4K")
    parser.add_argument("--pattern", default="random", choices=["random", "sequential"])
    parser.add_argument("--plain", action="store_true", help="load and revoke without TLS")
    parser.add_argument("--idle-sessions", type=int, default=1000)
    parser.add_argument(
        "--idle-seconds", type=int, default=2, help="before memory is looked at (default 2)"
    )
    parser.add_argument(
        "--settle-seconds", type=int, default=0, help="from the end of load to its memory figure"
    )
    options = parser.parse_args()
    for part in set(options.parts) - set(PARTS):
        parser.error(f"there is no part '{part}'; the parts are: {', '.join(PARTS)}")
    return options


def make_image(folder, mebibytes):
    image = folder / "disk0.raw"
    with open(image, "wb") as out:
        for _ in range(mebibytes):
            out.write(os.urandom(MIB))
    return image


def measure_load(image, options):
    """Many sessions, deep queues: errors, latency, the server's memory and processor time."""
    with Server([image], options.binary) as server:
        pid, bundles = server.process.pid, grants(server, options.sessions)
        reset_peak(pid)
        start, cpu = memory(pid), cpu_seconds([pid])
        with bench(server, bundles, options.plain, *reading(options), "--verify", image) as run:
            report = run.report(options.seconds + SPARE_SECONDS)
        cpu = cpu_seconds([pid]) - cpu
        time.sleep(options.settle_seconds)
        end = memory(pid)
    figures = {
        "report": report,
        "memory": {"start": start, "end": end},
        "server_cpu_seconds": cpu,
        "client_cpu_seconds": run.cpu,
    }
    show_load(figures, options)
    wrong = [f"{report['errors']} errors under load"] if report["errors"] else []
    if not report["reads"]:
        wrong.append("nothing was read under load")
    return figures, wrong


def show_load(figures, options):
    report, (start, end) = figures["report"], figures["memory"].values()
    gib, cpu = report["bytes"] / GIB, figures["server_cpu_seconds"]
    show(
        f"{options.sessions} sessions × {options.queue_depth} reads of {options.block}, "
        f"{options.pattern}, {'plain' if options.plain else 'TLS'}",
        ("read, all compared", f"{gib:.2f} GiB", f"in {report['seconds']:.1f} s"),
        ("rate", f"{report['iops']:.0f} IOPS", f"{report['bytes_per_second'] / MIB:.0f} MiB/s"),
        ("errors", report["errors"], report["errors_by_kind"] or ""),
        ("latency p50, p99, p99.9, max", *map(ms, (report["latency"] or {}).values())),
        ("one session, slowest to fastest", *map(kib, report["session_bytes_per_second"].values())),
        ("server memory start, peak, end", *map(mib, (start["rss"], end["peak"], end["rss"]))),
        ("... of it anonymous", mib(start["anon"]), "", mib(end["anon"])),
        ("server CPU", f"{cpu:.1f} s", f"{cpu / max(gib, 1e-9):.2f} s/GiB"),
        ("client CPU", f"{figures['client_cpu_seconds']:.1f} s"),
    )


def measure_idle(image, options):
    """Memory of sessions that do nothing, with TLS and without."""
    figures, wrong, rows = {}, [], []
    for name in ("plain", "tls"):
        figures[name] = one = idle(image, options, name == "plain")
        each = one["each"]
        rows += [
            (f"{name}, each", kib(each["rss"])),
            ("... anonymous, file", kib(each["anon"]), kib(each["file"])),
            *((f"... {stage}", kib(size)) for stage, size in one["stages"].items()),
            ("... server before, with, after", *map(mib, one["rss"].values())),
        ]
        if each["rss"] >= IDLE_SESSION_BYTES:
            wrong.append(f"an idle {name} session costs {kib(each['rss'])}")
        if one["errors"]:
            wrong.append(f"{one['errors']} errors of idle {name} sessions")
    show(f"{options.idle_sessions} idle sessions", *rows)
    return figures, wrong


def measure_revoke(image, options):
    """From the command to the last connection closed; initiators that listen, that do not."""
    figures, wrong, rows = {}, [], []
    for name, flags in (("obedient", []), ("deaf", ["--ignore-logout-request"])):
        with Server([image], options.binary) as server:
            figures[name] = one = revoke(server, flags, options)
        rows += [
            (f"{name} initiators", f"{one['seconds']:.2f} s", "from the command's start"),
            ("", f"{one['seconds_after']:.2f} s", "after its end"),
            *(("... saw", count, kind) for kind, count in one["errors_by_kind"].items()),
        ]
        if one["seconds_after"] >= REVOKE_SECONDS:
            wrong.append(f"{one['seconds_after']:.2f} s from revoke to the last connection closed")
        if one["ended_early"] != options.sessions:
            wrong.append(f"{one['ended_early']} of {options.sessions} sessions noticed the revoke")
        for kind in one["errors_by_kind"]:
            if not kind.startswith(SEEN_BY_REVOKED):
                wrong.append(f"a revoked session saw: {kind}")
    show(f"revoke, {options.sessions} sessions reading, grants: {one['grants']}", *rows)
    return figures, wrong


def revoke(server, flags, options):
    bundles = grants(server, options.sessions)
    flags = [*flags, *reading(options, seconds=86400)]
    with bench(server, bundles, options.plain, *flags) as run:
        run.wait_until_logged_in()
        time.sleep(1)
        started = time.monotonic()
        # All at one time.
        commands = [
            server.start("grant", "revoke", bundle.stem, "--state", server.state)
            for bundle in bundles
        ]
        # A grant is revoked at some moment before its command ends.
        revoked = None
        until = started + 4 * REVOKE_SECONDS
        while connections(port(server, options.plain)) and time.monotonic() < until:
            if revoked is None and all(command.poll() is not None for command in commands):
                revoked = time.monotonic()
            time.sleep(0.01)
        closed = time.monotonic()
        if any(command.wait(SPARE_SECONDS) for command in commands):
            raise RuntimeError(f"a grant was not revoked{server.tail()}")
        report = run.report(SPARE_SECONDS)
    return {
        "grants": len(bundles),
        "seconds": closed - started,
        "seconds_after": closed - (revoked or closed),
        "ended_early": report["ended_early"],
        "errors_by_kind": report["errors_by_kind"],
    }


def reading(options, seconds=None):
    return (
        f"--sessions={options.sessions}",
        f"--queue-depth={options.queue_depth}",
        f"--block={options.block}",
        f"--pattern={options.pattern}",
        f"--seconds={seconds or options.seconds}",
    )


def ms(microseconds):
    return f"{microseconds / 1000:.1f} ms"


def mib(count):
    return f"{count / MIB:.1f} MiB"


def kib(count):
    return f"{count / KIB:.1f} KiB"


def show(title, *rows):
    print(f"\n{title}")
    for name, *values in rows:
        print(f"  {name:34}" + "".join(f" {value!s:>12}" for value in values))
    sys.stdout.flush()


PARTS = {"load": measure_load, "idle": measure_idle, "revoke": measure_revoke}

if __name__ == "__main__":
    sys.exit(main())
