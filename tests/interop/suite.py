"""Runs a family of libiscsi's suite, iscsi-test-cu, against a target with two paths."""

import re
import subprocess
import time

import cunit

FAMILIES = ("SCSI", "iSCSI")
OUTCOMES = ("passed", "failed", "skipped")
# A family takes some 20 seconds, minutes on a busy machine; one that hangs must not hang CI.
FAMILY_SECONDS = 300


def run_family(family, first, second, verbose=False):
    """Maps "Suite.Test" to its outcome. `first` and `second` are URLs of one LUN.

    The suite runs on the first path; the multipath tests, and those that need a second
    initiator, take the second one as well. Destructive tests and SANITIZE are allowed.
    """
    started = time.monotonic()
    done = subprocess.run(
        ["iscsi-test-cu", "--dataloss", "--allow-sanitize", "--fail"]
        + [f"--test={family}", first, second],
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


def count(outcomes):
    """Passed, failed, skipped."""
    outcomes = list(outcomes)
    return [outcomes.count(name) for name in OUTCOMES]
