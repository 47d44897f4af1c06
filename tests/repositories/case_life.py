"""Repositories that change while they are served."""

import time

from bed import VM
from case_faults import COMMAND_SECONDS, check_sense, check_server
from case_reading import read_everything, whole_disk
from served import Served

# A new snapshot is listed within this time.
NEW_SECONDS = 30
PIECE = 256 << 10


def a_new_snapshot_appears(bed):
    """A snapshot made while the server runs is listed, granted and right; older ones stay so."""
    repository, snapshot = bed.new_repository("growing")
    older = bed.expected(repository, snapshot)
    with Served(bed, repository=repository) as server:
        before = ids(server)
        bundle = server.grant_at_last(VM)
        bed.grow()
        newer = bed.expected(repository, repository.backup(bed.machine, VM))
        started = time.monotonic()
        while ids(server) <= before:
            waited = time.monotonic() - started
            assert waited < NEW_SECONDS, f"not listed after {waited:.0f} s: {ids(server)}"
            time.sleep(0.2)
        print(f"    listed {time.monotonic() - started:.1f} s after it was made", flush=True)
        read_everything(bed, server, newer)
        for disk in older:
            whole_disk(server, bundle, disk)


def a_forgotten_snapshot_is_a_medium_error(bed):
    """`forget --prune` under a live grant: MEDIUM ERROR for what is gone, the rest is right."""
    repository, snapshot = bed.new_repository("shrinking")
    gone = bed.expected(repository, snapshot)
    with Served(bed, repository=repository) as server:
        with server.session(server.grant_at_last(VM)) as session:
            content = gone[0].content.read_bytes()
            assert session.read(0, PIECE).data == content[:PIECE]
            bed.grow()
            kept = bed.expected(repository, repository.backup(bed.machine, VM))
            repository.forget(snapshot)
            right, unreadable = read_what_is_left(session, content)
            print(f"    {right} reads right, {unreadable} MEDIUM ERROR", flush=True)
            assert right, "the chunks of the newer snapshot are there, but none was read"
            assert unreadable, "nothing is gone, so that nothing was shown"
            read_everything(bed, server, kept)
            assert len(ids(server)) == 1, f"the forgotten snapshot is listed: {ids(server)}"
        check_server(server)


def read_what_is_left(session, content):
    right, unreadable = 0, 0
    for at in range(0, len(content), PIECE):
        length = min(PIECE, len(content) - at)
        answer = session.read(at, length)
        assert answer.seconds < COMMAND_SECONDS, f"answered after {answer.seconds:.1f} s"
        if answer.sense:
            check_sense(answer.sense, at, length, session.block)
            unreadable += 1
        else:
            assert answer.data == content[at : at + length], f"WRONG DATA at {at}"
            right += 1
    return right, unreadable


def ids(server):
    return {point["point"] for point in server.points(VM)}
