"""Leaving the session: in order when the server answers, and first of all when it does not.

Who asks a disk whose server is gone waits, and so would everything that is to be undone. Without the session they all
get an error at once.
"""

from host import TIMED_OUT
from iscsi import sessions_of

# A disk that answers at all does so long before. Seconds.
ANSWER_TIMEOUT = 5
DROP_TIMEOUT = 5
# Kept for taking the disks away when the initiator does not let go. Seconds.
LAST_RESORT = 10
LOGGED_IN = "LOGGED_IN"


def is_cut_off(host, state):
    """Whether nobody answers for the disks any more."""
    sessions = sessions_of(host, state["iqn"])
    states = [host.read("/sys/class/iscsi_session/{}/state".format(session)) for session in sessions]
    if any(found not in (None, LOGGED_IN) for found in states):
        return True
    disks = our_disks(host, state)[:1]
    # Past the cache. All disks have the one session.
    return any(
        host.run(["dd", "if=/dev/" + name, "of=/dev/null", "bs=4096", "count=1", "iflag=direct"], ANSWER_TIMEOUT).status
        == TIMED_OUT
        for name in disks
    )


def leave(host, state, target, deadline):
    """Ends the session."""
    if not target.logout(deadline - LAST_RESORT):
        for name in our_disks(host, state):
            host.push("/sys/class/block/{}/device/delete".format(name), "1", DROP_TIMEOUT)
        target.logout(deadline)


def our_disks(host, state):
    """The disks of the run that are still there; a name may have gone to another disk since."""
    sessions = sessions_of(host, state["iqn"])
    return [
        name
        for name in state.get("devices", [])
        if any("/{}/".format(session) in host.real("/sys/class/block/" + name) for session in sessions)
    ]
