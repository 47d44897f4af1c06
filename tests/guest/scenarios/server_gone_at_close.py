"""The server is gone for good: closing still works, in bounded time, and leaves nothing."""

import signal
import time

from bed.script import CLOSE_LIMIT_SECONDS, ends_with

LONG = True


def run(case):
    script = case.script([("whole", "raw")])
    report = script.attach()
    reader = lose_server(case, report)
    script.close()
    reader.end()

    case.servers[0].start()
    running, report = script.stay()
    reader = lose_server(case, report)
    running.signal(signal.SIGTERM)
    ends_with(running.end(CLOSE_LIMIT_SECONDS), 0)
    reader.end()


def lose_server(case, report):
    """Ends the server while something waits for data that will never come; returns who waits."""
    volume = report.volume("WHOLE-EXT4")
    assert volume["mounted"], volume
    case.servers[0].kill()
    case.shell.sh("echo 3 >/proc/sys/vm/drop_caches")
    reader = case.shell.spawn("sha256sum", f"{volume['path']}/random 3 MiB.bin")
    # Long enough for the kernel to ask and be left without an answer.
    time.sleep(2)
    assert reader.running(), f"the read did not wait: {reader.text()}"
    return reader
