"""Faults on the way to the store: retried within a bound, then MEDIUM ERROR with the LBA."""

import contextlib
import threading
import time
import zlib
from dataclasses import dataclass

import faults
from bed import VM
from fault_proxy import FaultProxy
from resources import memory
from served import BESIDE, Served
from stream_proxy import StreamProxy

from initiator import UNREADABLE

# Files of the repository that hold the content of disks.
PACKS = r"/data/[0-9a-f]"
# The time after which Linux gives a command up.
COMMAND_SECONDS = 30
# A read that meets no fault, on a machine that has other things to do as well.
QUICK_SECONDS = 2
COMMAND_LINE_SECONDS = 5
# What a server may hold whatever a store sends.
MEMORY_BYTES = 768 << 20
READ = 64 << 10
RIGHT, MEDIUM_ERROR = "right data", "MEDIUM ERROR"
EITHER = (RIGHT, MEDIUM_ERROR)


@dataclass(frozen=True)
class Expected:
    """What a fault leads to when it passes after one request, and when it stays."""

    fault: object
    passing: tuple = (RIGHT,)
    staying: tuple = (MEDIUM_ERROR,)
    stores: tuple = ("rest", "s3", "azure")


FAULTS = {
    "busy, as S3 says it": Expected(faults.slow_down(), stores=("rest", "s3")),
    "busy, as Azure says it": Expected(faults.server_busy(), stores=("azure",)),
    "internal error": Expected(faults.internal_error()),
    "too many requests": Expected(faults.Status(429, "Too Many Requests")),
    "bad gateway": Expected(faults.Status(502, "Bad Gateway", "<html>no</html>")),
    "not there": Expected(faults.Status(404, "Not Found"), passing=EITHER),
    "forbidden": Expected(faults.Status(403, "Forbidden"), passing=EITHER),
    "elsewhere, for ever": Expected(
        faults.Status(307, "Temporary Redirect", headers=("Location: /data/ab/elsewhere",)),
        passing=EITHER,
    ),
    "silent": Expected(faults.Silent()),
    "late": Expected(faults.Late(3), staying=(RIGHT,)),
    "reset": Expected(faults.Reset()),
    "reset within the body": Expected(faults.ResetWithin(10_000)),
    "closed within the body": Expected(faults.CutOff(10_000)),
    "stops within the body": Expected(faults.StopsWithin(10_000)),
    "slow": Expected(faults.Slow(2 << 20), staying=(RIGHT,)),
    "hardly a byte": Expected(faults.Slow(40)),
    "wrong bytes": Expected(faults.WrongBytes(5_000)),
    "bytes from elsewhere": Expected(faults.OtherPlace()),
    "half of it": Expected(faults.Short(0.5)),
    "nothing of it": Expected(faults.Short(0)),
    "ranges not known": Expected(faults.NoRange(), stores=("rest",)),
    "a body without an end": Expected(faults.Endless()),
}


def every_fault(bed):
    """Each fault once, then for good while another disk is read, then no more: all by itself."""
    wrong = []
    for name, expected in FAULTS.items():
        if bed.store.name not in expected.stores:
            continue
        started = time.monotonic()
        try:
            seconds = one_fault(bed, expected)
        except AssertionError as failure:
            wrong.append(f"{name}: {failure}")
        else:
            total = time.monotonic() - started
            print(f"    {name}: ended after {seconds:.1f} s, {total:.1f} s in all", flush=True)
    assert not wrong, "\n  ".join(["", *wrong])


def one_fault(bed, expected):
    """Gives how long the read took that met the fault for good."""
    disk = bed.disks[0]
    content = disk.content.read_bytes()
    first, second = far_apart(content)
    with (
        through_proxy(bed) as (proxy, server),
        server.session(server.grant_at_last(VM), disk.lun) as session,
    ):
        with proxy.during(expected.fault, PACKS, "GET", times=1) as rule:
            outcome(session, first, content, expected.passing, "passing")
        assert rule.met, "no request met the fault"
        with server.reading_beside() as beside:
            before = len(beside) - 1
            with proxy.during(expected.fault, PACKS, "GET") as rule:
                seconds = outcome(session, second, content, expected.staying, "staying")
            assert rule.met, "no request met the fault"
        for at in (first, second):
            outcome(session, at, content, (RIGHT,), "over")
        check_server(server, beside[before:])
    return seconds


def many_small_faults(bed):
    """A fifth of all requests fail, each in another way: every byte is right all the same."""
    usual = (faults.slow_down(), faults.Reset(), faults.CutOff(5_000), faults.ResetWithin(5_000))
    disk = bed.disks[0]
    content = disk.content.read_bytes()
    with (
        through_proxy(bed) as (proxy, server),
        server.session(server.grant_at_last(VM), disk.lun) as session,
        proxy.during(faults.InTurn(usual), PACKS, "GET", every=5) as rule,
    ):
        assert session.read_all(0, len(content)) == content, "wrong data"
        check_server(server)
    print(f"    {rule.met} of {rule.seen} requests failed", flush=True)
    assert rule.met >= len(usual), f"{rule.met} of {rule.seen} requests met a fault"


def what_is_lost_while_the_index_crawls(bed):
    """A pack is gone, and so slow is the look at the index for another place that it has no end."""
    disk = bed.disks[0]
    content = disk.content.read_bytes()
    first, second = far_apart(content)
    gone = faults.Status(404, "Not Found")
    with (
        through_proxy(bed) as (proxy, server),
        server.session(server.grant_at_last(VM), disk.lun) as session,
    ):
        outcome(session, first, content, (RIGHT,), "before")
        with (
            server.reading_beside() as beside,
            proxy.during(gone, PACKS, "GET"),
            proxy.during(faults.Slow(1), "index", "GET") as crawling,
        ):
            outcome(session, second, content, (MEDIUM_ERROR,), "crawling")
        assert crawling.met, "nobody looked at the index"
        outcome(session, second, content, (RIGHT,), "over")
        check_server(server, beside)


def nobody_else_waits(bed):
    """The store says nothing to anybody: other disks, grants, lists and what is in memory go on."""
    disk = bed.disks[0]
    content = disk.content.read_bytes()
    first, second = far_apart(content)
    with through_proxy(bed) as (proxy, server):
        bundle = server.grant_at_last(VM)
        with server.session(bundle, disk.lun) as waiting, server.session(bundle) as hot:
            outcome(hot, first, content, (RIGHT,), "before")
            with server.reading_beside() as beside, proxy.silent():
                before = len(beside) - 1
                with in_background(outcome, waiting, second, content, EITHER, "silence") as stuck:
                    in_time("grant create", lambda: server.create_grant(BESIDE))
                    in_time("point list", lambda: server.points(BESIDE))
                    assert stuck.is_alive(), "the silence was over too soon to show anything"
                    while stuck.is_alive():
                        seconds = outcome(hot, first, content, (RIGHT,), "in memory")
                        assert seconds < QUICK_SECONDS, f"what is in memory: {seconds:.1f} s"
                        time.sleep(0.05)
            check_server(server, beside[before:])


def the_store_goes_away(bed):
    """Nothing listens where the store was: MEDIUM ERROR; once it is back, data again."""
    disk = bed.disks[0]
    content = disk.content.read_bytes()
    first, second = far_apart(content)
    with through_proxy(bed) as (proxy, server):
        with server.session(server.grant_at_last(VM), disk.lun) as session:
            outcome(session, first, content, (RIGHT,), "before")
            with server.reading_beside() as beside, proxy.refusing():
                outcome(session, second, content, (MEDIUM_ERROR,), "away")
            outcome(session, second, content, (RIGHT,), "back")
            check_server(server, beside)
        # A server that starts while the store is away serves everything else meanwhile.
        with contextlib.ExitStack() as stack:
            with proxy.refusing():
                lonely = stack.enter_context(Served(bed, proxy.port))
                with lonely.reading_beside() as beside:
                    assert lonely.points(VM) == []
                check_server(lonely, beside)
            bundle = lonely.grant_at_last(VM)
            with lonely.session(bundle, disk.lun) as session:
                outcome(session, first, content, (RIGHT,), "back after the start")


@contextlib.contextmanager
def through_proxy(bed):
    kind = StreamProxy if bed.store.name == "sftp" else FaultProxy
    with kind(bed.store.port) as proxy, Served(bed, proxy.port) as server:
        yield proxy, server


def outcome(session, offset, content, allowed, when):
    """One read: right data, or MEDIUM ERROR with an LBA within it, in time. Gives the seconds."""
    answer = session.read(offset, READ)
    assert answer.seconds < COMMAND_SECONDS, f"{when}: answered after {answer.seconds:.1f} s"
    if answer.sense is None:
        assert answer.data == content[offset : offset + READ], f"{when}: WRONG DATA at {offset}"
        found = RIGHT
    else:
        check_sense(answer.sense, offset, READ, session.block)
        found = MEDIUM_ERROR
    assert found in allowed, f"{when}: {found}, not {' or '.join(allowed)}"
    return answer.seconds


def check_sense(sense, offset, length, block):
    assert (sense.key, sense.code, sense.qualifier) == UNREADABLE, f"sense {sense}"
    first, last = offset // block, (offset + length - 1) // block
    assert sense.lba is not None and first <= sense.lba <= last, (
        f"LBA {sense.lba} in the information field of a read of {first} to {last}"
    )


def check_server(server, others=None):
    """The server is well; `others`: seconds that each of another disk's reads took."""
    if others is not None:
        slowest = max(others)
        assert slowest < QUICK_SECONDS, f"another disk's read took {slowest:.1f} s meanwhile"
    assert server.process.poll() is None, f"the server ended:{server.tail()}"
    peak = memory(server.process.pid)["peak"]
    assert peak < MEMORY_BYTES, f"the server took {peak >> 20} MiB"
    assert "panicked" not in server.log_text(), server.tail()


def in_time(what, call):
    started = time.monotonic()
    call()
    seconds = time.monotonic() - started
    assert seconds < COMMAND_LINE_SECONDS, f"{what} took {seconds:.1f} s meanwhile"


def far_apart(content):
    """Offsets of two blocks that do not compress, so that each lies in a chunk of its own."""
    dense = [
        at
        for at in range(0, len(content) - READ, READ)
        if len(zlib.compress(content[at : at + READ], 1)) > READ * 0.98
    ]
    return dense[2], dense[-3]


@contextlib.contextmanager
def in_background(call, *arguments):
    """Its failure is the block's, once both are over."""
    failures = []

    def run():
        try:
            call(*arguments)
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
    if failures:
        raise failures[0]
