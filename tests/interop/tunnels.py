#!/usr/bin/env python3
"""The mount script's tunnel beside stunnel's client and `itemlift tunnel`, before one server.

iscsi-perf reads the same disk through each in turn, so that a machine whose speed drifts is fair
to all; each figure is the median, with the lowest and the highest behind it. Status 1 when the
script's tunnel carries less than 0.7 × what stunnel's client does.
"""

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from resources import memory
from script_tunnel import script_tunnel
from server import BINARY, Server, free_port, wait_for_port

from bench import make_image, run

# Of what stunnel's client carries.
ENOUGH = 0.7
WORKLOADS = {
    "128 KiB sequential, 32 at a time": ["-b", "256", "-m", "32"],
    "4 KiB random, 32 at a time": ["-b", "8", "-m", "32", "-r"],
}
SCRIPT, STUNNEL, OURS = "script's tunnel", "stunnel's client", "itemlift tunnel"


def main():
    options = arguments()
    enough = True
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(Server([make_image(folder)], options.binary))
        carriers = start_carriers(stack, folder, server, options.python)
        for workload, flags in WORKLOADS.items():
            runs = {name: [] for name in carriers}
            for _ in range(options.runs):
                for name, (port, pid) in carriers.items():
                    runs[name].append(run(server.url(port), flags, options.seconds, [pid]))
            enough &= print_table(workload, runs)
        for name, (_, pid) in carriers.items():
            print(f"memory of {name:18} {memory(pid)['rss'] / (1 << 20):5.1f} MiB resident")
    return 0 if enough else 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--python", default=sys.executable, help="what runs the script's tunnel")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--seconds", type=int, default=3, help="length of a run (default 3)")
    return parser.parse_args()


def start_carriers(stack, folder, server, python):
    """Maps a name to the port to read from and the id of the process behind it."""
    port, pid = stack.enter_context(script_tunnel(server.bundle_file, python))
    return {
        SCRIPT: (port, pid),
        STUNNEL: stack.enter_context(stunnel_client(folder, server)),
        OURS: stack.enter_context(itemlift_tunnel(server)),
    }


@contextlib.contextmanager
def stunnel_client(folder, server):
    """With the grant's identity and the server's CA pinned, as the script's tunnel has them."""
    bundle, port = server.bundle, free_port()
    identity, ca, config = (folder / name for name in ("identity.pem", "ca.pem", "stunnel.conf"))
    identity.write_text(bundle["client_cert_pem"] + bundle["client_key_pem"])
    identity.chmod(0o600)
    ca.write_text(bundle["ca_pem"])
    config.write_text(
        "foreground = yes\npid =\ndebug = warning\n"
        "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
        "[iscsi]\nclient = yes\nverifyChain = yes\n"
        f"cert = {identity}\nCAfile = {ca}\nsni = {bundle['server_name']}\n"
        f"accept = 127.0.0.1:{port}\nconnect = {bundle['portal']}\n"
    )
    with started(["stunnel4", str(config)], port) as process:
        yield port, process.pid


@contextlib.contextmanager
def itemlift_tunnel(server):
    port = free_port()
    words = ["tunnel", "--bundle", server.bundle_file, "--listen", f"127.0.0.1:{port}"]
    with started([str(word) for word in (server.binary, *words)], port) as process:
        yield port, process.pid


@contextlib.contextmanager
def started(command, port):
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with subprocess.Popen(command, **quiet) as process:
        try:
            wait_for_port(port, process)
            yield process
        finally:
            process.kill()


def print_table(workload, runs):
    """Tells whether the script's tunnel carries enough."""
    print(f"\n{workload}\n  {'':17} {'MB/s':>6} {'(min–max)':>13} {'IOPS':>8} {'its CPU s':>10}")
    for name, figures in runs.items():
        speeds = [one[1] for one in figures]
        print(
            f"  {name:17} {statistics.median(speeds):6.0f} {f'({min(speeds)}–{max(speeds)})':>13}"
            f" {statistics.median(one[0] for one in figures):8.0f}"
            f" {statistics.median(one[2] for one in figures):10.2f}"
        )
    share = median_iops(runs[SCRIPT]) / median_iops(runs[STUNNEL])
    print(f"  {SCRIPT} carries {share:.2f} × what {STUNNEL} does (at least {ENOUGH})")
    return share >= ENOUGH


def median_iops(figures):
    return statistics.median(one[0] for one in figures)


if __name__ == "__main__":
    sys.exit(main())
