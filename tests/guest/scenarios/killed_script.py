"""SIGKILL of the script: the next run finds the leftovers and, with --yes, cleans them up.

What an administrator keeps for an initiator of their own is none of them.
"""

import signal

from bed.initiator import Initiator


def run(case):
    script = case.script([("whole", "raw")])
    server = case.servers[0]
    own = Initiator.of(case, server.bundle("web01"), server.plain_port)
    running, report = script.stay()
    assert report.volume("WHOLE-EXT4")["mounted"]
    running.signal(signal.SIGKILL)
    running.end()
    record = case.shell.sh(own.node)
    again = script.attach("--yes")
    again.holds(case.manifests("whole"))
    assert case.shell.sh(own.node) == record, "somebody else's node record was touched"
    script.close()
    assert case.shell.sh(own.node) == record, "somebody else's node record was touched"
