#!/usr/bin/env python3
"""Holds the target against libiscsi's own suite, plain and through TLS.

The suite writes; this target does not. So `libiscsi.toml` names each test that must
fail and each that shows nothing, with the reason, and the run fails when a test
leaves that list as well as when one joins it.
"""

import argparse
import contextlib
import re
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import cunit
from server import BINARY, Server

EXPECTED = Path(__file__).with_name("libiscsi.toml")
FAMILIES = ("SCSI", "iSCSI")
IMAGE_BYTES = 128 << 20
# The whole suite takes a few seconds; one that hangs must not hang CI.
FAMILY_SECONDS = 180


def main():
    options = arguments()
    expected = read_expected()
    surprises = 0
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(Server([make_image(folder)], options.binary))
        tunnel = stack.enter_context(server.tunnel())
        for transport, port in (("plain", server.plain_port), ("tls", tunnel)):
            for family in FAMILIES:
                found = run_family(server.url(port), family, options.verbose)
                report(transport, family, found)
                surprises += len(compare(transport, family, found, expected))
                for outcome in found.values():
                    totals[outcome] += 1
    print(
        f"as expected: {totals['passed']} passed, {totals['failed']} failed, "
        f"{totals['skipped']} skipped"
        if not surprises
        else f"{surprises} tests are not as {EXPECTED.name} says"
    )
    good = sum(totals.values()) - surprises
    print(f"{good} passed, {surprises} failed")
    return 1 if surprises or not good else 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=Path, default=BINARY)
    parser.add_argument("--verbose", action="store_true", help="print what the suite prints")
    return parser.parse_args()


def read_expected():
    """Maps (family, "Suite.Test") to "failed" or "skipped"; every other test must pass."""
    return {
        (family, name): want
        for family, wants in tomllib.loads(EXPECTED.read_text()).items()
        for want, groups in wants.items()
        for group in groups
        for name in group["tests"]
    }


def make_image(folder):
    image = folder / "disk0.raw"
    with open(image, "wb") as out:
        out.truncate(IMAGE_BYTES)
    return image


def run_family(url, family, verbose):
    started = time.monotonic()
    done = subprocess.run(
        ["iscsi-test-cu", "--dataloss", "--fail", f"--test={family}", url],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=FAMILY_SECONDS,
    )
    if verbose:
        print(done.stdout)
    found = cunit.outcomes(done.stdout)
    ran = re.search(r"^\s+tests\s+\d+\s+(\d+)", done.stdout, re.MULTILINE)
    if not ran or int(ran[1]) != len(found):
        raise RuntimeError(f"{family}: no complete summary from iscsi-test-cu:\n{done.stdout}")
    print(f"{family}: {len(found)} tests in {time.monotonic() - started:.1f} s")
    return found


def report(transport, family, found):
    counts = [list(found.values()).count(name) for name in ("passed", "failed", "skipped")]
    print(f"  {transport} {family}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")


def compare(transport, family, found, expected):
    """Prints and returns the tests whose outcome is not the one written down."""
    wrong = []
    for name, outcome in found.items():
        want = expected.get((family, name), "passed")
        if outcome != want:
            wrong.append(name)
            print(f"  {transport} {family}.{name}: {outcome}, expected {want}")
    for (of, name), want in expected.items():
        if of == family and name not in found:
            wrong.append(name)
            print(f"  {transport} {family}.{name}: did not run, expected {want}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
