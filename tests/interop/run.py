#!/usr/bin/env python3
"""Holds the target against libiscsi's own suite, plain and through TLS.

The suite writes; this target does not. So `libiscsi.toml` names each test that must
fail and each that shows nothing, with the reason, and the run fails when a test
leaves that list as well as when one joins it.

With --peer tgt nothing is held against the list: the suite runs once on this target
and once on tgt with the same image write-protected, and one table shows both.
"""

import argparse
import contextlib
import sys
import tempfile
import tomllib
from pathlib import Path

from server import BINARY, Server
from side_by_side import print_table
from suite import FAMILIES, OUTCOMES, count, run_family
from tgt import Tgt

EXPECTED = Path(__file__).with_name("libiscsi.toml")
IMAGE_BYTES = 128 << 20


def main():
    options = arguments()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        image = make_image(folder)
        server = stack.enter_context(Server([image], options.binary))
        plain = server.url(server.plain_port)
        through_tls = server.url(stack.enter_context(server.tunnel()))
        if options.peer:
            tgt = stack.enter_context(Tgt(image))
            beside = tgt.url(tgt.port)
            ours = run_all(plain, through_tls, options.verbose)
            theirs = run_all(beside, beside, options.verbose)
            print_table({"itemlift": ours, options.peer: theirs})
            return 0
        return hold_against_list(plain, through_tls, options.verbose)


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--binary", type=Path, default=BINARY, help="the itemlift to test (%(default)s)"
    )
    parser.add_argument(
        "--peer", choices=["tgt"], help="show the suite's outcomes beside this target's"
    )
    parser.add_argument("--verbose", action="store_true", help="print what the suite prints")
    return parser.parse_args()


def make_image(folder):
    image = folder / "disk0.raw"
    with open(image, "wb") as out:
        out.truncate(IMAGE_BYTES)
    return image


def run_all(first, second, verbose):
    return {family: run_family(family, first, second, verbose) for family in FAMILIES}


def hold_against_list(plain, through_tls, verbose):
    """Runs everything on each path, the other one being its second; gives the exit status."""
    expected = read_expected()
    surprises = 0
    totals = dict.fromkeys(OUTCOMES, 0)
    for transport, first, second in (
        ("plain", plain, through_tls),
        ("tls", through_tls, plain),
    ):
        for family, found in run_all(first, second, verbose).items():
            counts = dict(zip(OUTCOMES, count(found.values()), strict=True))
            print(f"  {transport} {family}: {in_words(counts)}")
            surprises += len(compare(transport, family, found, expected))
            for outcome, number in counts.items():
                totals[outcome] += number
    print(
        f"{surprises} tests are not as {EXPECTED.name} says"
        if surprises
        else f"as expected: {in_words(totals)}"
    )
    good = sum(totals.values()) - surprises
    print(f"{good} passed, {surprises} failed")
    return 1 if surprises or not good else 0


def in_words(counts):
    return ", ".join(f"{number} {outcome}" for outcome, number in counts.items())


def read_expected():
    """Maps (family, "Suite.Test") to "failed" or "skipped"; every other test must pass."""
    return {
        (family, name): want
        for family, wants in tomllib.loads(EXPECTED.read_text()).items()
        for want, groups in wants.items()
        for group in groups
        for name in group["tests"]
    }


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
