"""SIGTERM at any moment on the way to the mount: undone. SIGKILL: --unmount undoes it."""

import signal
import time

from bed.leaks import HostState
from bed.script import CLOSE_LIMIT_SECONDS

LONG = True

SECONDS_AFTER_START = (1, 2, 3, 4)


def run(case):
    script = case.script([("whole", "raw")])
    before = HostState(case.shell)
    for delay in SECONDS_AFTER_START:
        done = interrupted(script, delay, signal.SIGTERM).end(CLOSE_LIMIT_SECONDS)
        # Before it listens for signals there is nothing to undo; after the mount it is a close.
        assert done.status in (0, 1, -signal.SIGTERM), f"after {delay} s:\n{done.text}"
        assert not before.changes(), f"SIGTERM after {delay} s left {before.changes()}\n{done.text}"
    for delay in SECONDS_AFTER_START:
        interrupted(script, delay, signal.SIGKILL).end(CLOSE_LIMIT_SECONDS)
        done = script.close()
        assert not before.changes(), f"SIGKILL after {delay} s left {before.changes()}\n{done.text}"


def interrupted(script, delay, number):
    running = script.start()
    time.sleep(delay)
    running.signal(number)
    return running
