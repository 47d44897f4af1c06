"""Many readers of one place: the store is asked once."""

import threading

import faults
from bed import VM
from case_faults import PACKS, READ, far_apart, through_proxy

READERS = 32


def one_fetch_for_many_readers(bed):
    """32 sessions read one cold block at the same moment: no range is asked for twice."""
    disk = bed.disks[0]
    content = disk.content.read_bytes()
    _, at = far_apart(content)
    with through_proxy(bed) as (proxy, server):
        bundle = server.grant_at_last(VM)
        # How many requests there were when all had logged in.
        before, wrong = [], []
        ready = threading.Barrier(READERS, lambda: before.append(len(proxy.asked_for)))

        def read():
            try:
                with server.session(bundle, disk.lun) as session:
                    ready.wait(30)
                    answer = session.read(at, READ)
                    assert answer.data == content[at : at + READ], f"wrong data, {answer.sense}"
            except Exception as failure:
                wrong.append(failure)

        # Late answers, so that all of them have asked before the first is told.
        with proxy.during(faults.Late(2), PACKS, "GET"):
            threads = [threading.Thread(target=read) for _ in range(READERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if wrong:
            raise wrong[0]
        asked = [entry for entry in proxy.asked_for[before[0] :] if "/data/" in entry[0]]
        assert asked, "no request went to the store"
        assert len(asked) == len(set(asked)), f"asked twice: {sorted(asked)}"
        print(f"    {len(asked)} requests for {READERS} readers", flush=True)
