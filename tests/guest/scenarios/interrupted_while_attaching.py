"""SIGTERM at any moment on the way to the mount: undone. SIGKILL: --unmount undoes it."""

import signal
import time

from bed.script import CLOSE_LIMIT_SECONDS

SECONDS_AFTER_START = (1, 2, 3, 4)


def run(case):
    script = case.script([("whole", "raw")])
    for delay in SECONDS_AFTER_START:
        done = interrupted(script, delay, signal.SIGTERM).end(CLOSE_LIMIT_SECONDS)
        # Before it listens for signals there is nothing to undo; after the mount it is a close.
        assert done.status in (0, 1, -signal.SIGTERM), f"after {delay} s:\n{done.text}"
        assert "Still there" not in done.text, f"after {delay} s:\n{done.text}"
        assert not left(case), f"left by SIGTERM after {delay} s: {left(case)}"
    for delay in SECONDS_AFTER_START:
        interrupted(script, delay, signal.SIGKILL).end(CLOSE_LIMIT_SECONDS)
        script.close()
        assert not left(case), f"left after SIGKILL after {delay} s: {left(case)}"


def interrupted(script, delay, number):
    running = script.start()
    time.sleep(delay)
    running.signal(number)
    return running


def left(case):
    """What the machine has now and had not before, but for the script itself."""
    return [line for line in case.host.changes() if "/root/work" not in line]
