"""LVM, LUKS, md and overlays, in use, when the way to the disks is cut: each ends within a minute.

Packets dropped, the server gone, the grant revoked, the grant expired, the script killed and run
anew: whoever reads gets an error, whoever stands inside stands in nothing, and nothing is left.
"""

import signal
import time

from bed.leaks import HostState
from bed.network import dropped
from bed.script import CLOSE_LIMIT_SECONDS, MOUNT_LIMIT_SECONDS, ends_with

LONG = True

DISKS = [("nested", "raw")]
KEYS = ["open sesame"] * 3
# Upon LUKS, LVM in LUKS, md on LVM, LUKS on LVM.
IN_USE = ("LUKS1", "LV-IN-LUKS2", "MD-ON-LV", "LUKS2-ON-LV")
# Stands in the volume, has a file open, and reads past the cache until that fails.
USER = """
exec 9<.
file=$(find . -type f -size +0 | head -n 1)
while dd if="$file" of=/dev/null bs=4k iflag=direct status=none; do echo reading; sleep 2; done
echo failed
read line
"""
# Beyond twice the time that mounting took. Seconds.
LIFETIME = 20


def run(case):
    server = case.serve({"web01": DISKS})
    mounting = 0
    for way in (network_dropped, server_gone, killed, revoked, expired):
        lifetime = round(2 * mounting) + LIFETIME
        grant = server.grant("web01", f"{lifetime}s" if way is expired else None)
        script = case.deliver(grant, folder=f"/root/{way.__name__}")
        before = HostState(case.shell)
        started = time.monotonic()
        running, report = script.stay(keys=KEYS)
        mounting = time.monotonic() - started
        users = in_use(case, report)
        seconds = way(case, server, script, running, lifetime)
        case.say(f"{way.__name__}: closed in {seconds:.1f} s, mounted in {mounting:.1f} s")
        for user in users:
            user.wait_for("failed")
            user.type("\n")
            user.end()
        left = before.changes()
        assert not left, f"{way.__name__} left {left}"


def network_dropped(case, server, script, running, _):
    trouble = dropped(server.port)
    case.shell.sh(trouble.begin, limit=300)
    # Long enough for reads to wait; not for the initiator to notice.
    time.sleep(3)
    done = script.close()
    case.shell.sh(trouble.end, limit=300)
    ends_with(running.end(), 0, "does not answer")
    return done.seconds


def server_gone(_case, server, script, running, _):
    server.kill()
    time.sleep(3)
    done = script.close()
    server.start()
    running.end()
    return done.seconds


def revoked(_case, server, script, running, _):
    server.revoke(script.grant)
    return ended(script, running, "revoked", CLOSE_LIMIT_SECONDS)


def expired(_case, _server, script, running, lifetime):
    return ended(script, running, "expired", lifetime)


def ended(script, running, why, limit):
    """The run ends by itself, and the script is refused from then on."""
    running.wait_for(why, limit=limit)
    started = time.monotonic()
    done = running.end(CLOSE_LIMIT_SECONDS)
    seconds = time.monotonic() - started
    ends_with(done, 2, why)
    ends_with(script.run("--password-stdin", "--detach"), 2, why)
    return seconds


def killed(case, _server, script, running, _):
    """The tunnel dies with the script; a new run clears away and mounts again."""
    running.signal(signal.SIGKILL)
    running.end()
    again = script.attach("--yes", keys=KEYS)
    again.holds({"LUKS2-ON-LV": case.manifests("nested")["LUKS2-ON-LV"]})
    return script.close().seconds


def in_use(case, report):
    paths = [report.volume(label)["path"] for label in IN_USE]
    users = [case.shell.spawn("sh", "-c", USER, cwd=path) for path in paths]
    for user in users:
        user.wait_for("reading", limit=MOUNT_LIMIT_SECONDS)
    return users
