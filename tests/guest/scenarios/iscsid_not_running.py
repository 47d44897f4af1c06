"""The initiator's daemon does not run: it is started for the mount and stopped afterwards."""

from bed.leaks import HostState

LONG = True


def run(case):
    case.afterwards(lambda: start_again(case))
    script = case.script([("whole", "raw")])
    # It is a pair of processes; the second goes with the first.
    case.shell.sh("kill $(pidof iscsid) || true; while pidof iscsid; do sleep 0.1; done")
    without = HostState(case.shell)
    script.attach().holds(case.manifests("whole"))
    assert case.shell.run("pidof", "iscsid").status == 0, "mounted without iscsid?"
    script.close()
    left = without.changes()
    assert not left, "left behind:\n  " + "\n  ".join(left)


def start_again(case):
    case.shell.sh("iscsid")
    # The machine is as before but for the daemon's process ids.
    case.host = HostState(case.shell)
