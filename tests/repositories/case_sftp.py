"""What only SFTP has: programs that the server starts."""

import time

from bed import VM
from case_reading import random_ranges
from served import Served

READS = 200
END_SECONDS = 5


def no_ssh_outlives_the_server(bed):
    """When the server has ended, no `ssh` is left and no socket of one."""
    nothing_left(bed.store)
    with Served(bed) as server:
        # Many readers, so that there is more than one connection.
        random_ranges(bed, server, server.grant_at_last(VM), bed.disks[0], READS)
        assert bed.store.left(), "the server reads without a connection"
    nothing_left(bed.store)


def nothing_left(store):
    until = time.monotonic() + END_SECONDS
    while (left := store.left()) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == [], f"left behind: {left}"
