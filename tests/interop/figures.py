#!/usr/bin/env python3
"""How long an administrator waits: ready to serve, grant to first byte, and memory at rest."""

import argparse
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from libiscsi import read_first_block
from server import BINARY, Server

TIB = 1 << 40


def main():
    options = arguments()
    cases = {
        "1 raw disk of 1 GiB": [("disk0.raw", 1 << 30)],
        "32 sparse qcow2 disks of 64 TiB": [(f"disk{n}.qcow2", 64 * TIB) for n in range(32)],
    }
    for title, disks in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            images = [make(Path(folder) / name, size) for name, size in disks]
            with Server(images, options.binary) as server:
                idle = resident(server.process.pid)
                waits = [first_bytes(server) for _ in range(options.runs)]
                print(
                    f"{title}\n"
                    f"  ready to serve            {server.ready_seconds:.2f} s\n"
                    f"  grant to first byte       {spread([first for first, _ in waits])}\n"
                    f"  ... of every disk         {spread([last for _, last in waits])}\n"
                    f"  memory, idle              {idle:.1f} MiB\n"
                    f"  ... after {options.runs} grants  {resident(server.process.pid):.1f} MiB"
                )


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--runs", type=int, default=5)
    return parser.parse_args()


def make(path, size):
    form = "qcow2" if path.suffix == ".qcow2" else "raw"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", form, path, str(size)], check=True, timeout=30
    )
    return path


def first_bytes(server):
    """Creates a grant and reads a block of each disk: seconds to the first and to the last."""
    started = time.monotonic()
    bundle = server.create_grant()
    waits = []
    for disk in bundle["disks"]:
        read_first_block(f"127.0.0.1:{server.plain_port}", disk["lun"], bundle)
        waits.append(time.monotonic() - started)
    return waits[0], waits[-1]


def spread(seconds):
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f}–{max(seconds):.2f})"


def resident(pid):
    """Resident memory in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    main()
