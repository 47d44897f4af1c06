"""A reboot with the mount open, orderly or by a power failure: neither the end nor the start hangs.

What outlives it is cleared away by a new run.
"""

import json

from bed.case import WORK

LONG = True
INSTALLED = True

DISKS = [("machine", "raw")]

# The script's own 60 s, and what systemd needs on an emulated machine.
SHUTDOWN_LIMIT_SECONDS = 90
# What each start of a machine makes anew.
OF_EACH_START = ("processes", "listening")


def run(case):
    case.open(leave_out=OF_EACH_START)
    script = case.script(DISKS)
    attached(case, script)
    restarted(case, script, "shutdown", orderly=True)
    assert not outlived(case.shell), f"an orderly shutdown left {outlived(case.shell)}"

    # Nobody is there to close it, and with the script the way to the server has gone.
    attached(case, script)
    state = json.loads(case.shell.read(f"/run/itemlift/{script.grant.id}.json"))
    case.shell.sh(f"kill -9 {state['pid']}")
    restarted(case, script, "shutdown after SIGKILL of the script", orderly=True)

    attached(case, script)
    case.shell.sh("sync")
    restarted(case, script, "power failure", orderly=False)
    assert len(outlived(case.shell)) == 2, f"only {outlived(case.shell)} outlived a power failure"

    attached(case, script)
    script.close()


def attached(case, script):
    """All is mounted, and somebody works in it."""
    report = script.attach("--yes")
    for label in ("ROOT", "HOME"):
        inside = case.shell.spawn("sleep", "1000", cwd=report.volume(label)["path"])
        assert inside.running()


def restarted(case, script, name, orderly):
    took = case.restart(script, orderly)
    case.say(f"{name}: ended after {took:.1f} s")
    assert took < SHUTDOWN_LIMIT_SECONDS, f"the {name} took {took:.0f} s"
    # What lives in memory has gone by itself, and nothing has logged in at the start.
    found = case.shell.sh(
        "ls -d /run/itemlift /run/udev/rules.d/*itemlift* /sys/class/iscsi_session/* 2>&- || true; "
        "dmsetup ls | grep itemlift || true; findmnt -rn -o SOURCE,TARGET | grep itemlift || true"
    )
    assert not found, f"after the {name}: {found}"
    jobs = case.shell.run("systemctl", "list-jobs", "--no-legend").stdout.strip()
    assert jobs in ("", "No jobs running."), f"the start has not ended: {jobs}"


def outlived(shell):
    return shell.sh(f"ls -d {WORK}/*/ /etc/iscsi/nodes/* 2>/dev/null || true").split()
