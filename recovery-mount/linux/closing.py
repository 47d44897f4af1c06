"""Closing: everything that the record of a run names is undone, in bounded time, and then looked for.

The server need not be there any more, and the process that made all this need not be either.
"""

import os
import re

from iscsi import Target, record_path, sessions_of
from iscsid import stop_iscsid
from isolation import end_isolation
from leaving import is_cut_off, leave, our_disks
from mapper import our_mapped
from mounting import mounted_below, mounted_from, mounts
from raid import array_is_there
from teardown import take_down

# Everything together, in seconds.
CLOSE_LIMIT = 60
# How long a busy volume may stay busy before it is taken out of the tree as it is.
BUSY_PATIENCE = 10
UNMOUNT_TIMEOUT = 10
# Volumes that one umount takes.
UNMOUNTED_AT_ONCE = 8
# To take a volume out of the tree; what it still waits for, it waits for without us.
DETACH_TIMEOUT = 3
# For all volumes together, those that are busy and those that hang included.
UNMOUNT_LIMIT = 25
# For volume groups, arrays and overlays, before the session is ended.
TAKE_DOWN_LIMIT = 12
# For leaving a server that does not answer, before anything else.
CUT_OFF_LIMIT = 25
HOLDERS_SHOWN = 5


def close_run(host, state, talk, tunnel=None):
    """Undoes what the state's record names; returns what is left as sentences, empty if nothing is."""
    with host.within(CLOSE_LIMIT):
        return undo(host, state, talk, tunnel)


def undo(host, state, talk, tunnel):
    deadline = host.monotonic() + CLOSE_LIMIT
    state.try_note(state="closing")
    target = Target(host, state["iqn"], state.get("portal", "127.0.0.1:0"))
    known = our_mounts(host, state)
    if is_cut_off(host, state):
        talk.say("The server does not answer: its disks are taken away first, so that nobody waits for them.")
        if tunnel is not None:
            tunnel.close()
        leave(host, state, target, host.monotonic() + CUT_OFF_LIMIT)
    with host.within(UNMOUNT_LIMIT):
        unmount_all(host, state, talk, known)
    with host.within(TAKE_DOWN_LIMIT):
        emptied, standing_now = take_down(host, state)
    leave(host, state, target, deadline)
    # What waited for the disks gets errors now.
    detach(host, state, talk, known)
    if standing_now:
        emptied, _ = take_down(host, state)
    for name in emptied:
        talk.say("{} is empty now and goes when nobody uses it any more.".format(name))
    target.delete_record()
    if tunnel is not None:
        tunnel.close()
    end_isolation(host, state)
    stop_iscsid(host, state)
    if state.get("cow_folder"):
        host.remove_folder(state["cow_folder"])
    for folder in state.get("absent_folders", []) + list(reversed(state.get("folders", []))):
        host.remove_folder(folder)
    left = find_left(host, state, emptied)
    if left:
        state.try_note(state="left", left=left)
    else:
        state.forget()
    return left


def unmount_all(host, state, talk, known):
    """Unmounts; waits a while for those that are in use; then takes them out of the tree and says so.

    `known` are paths that are ours too, though the disks that would show it may be gone.
    """
    told = set()
    patience = host.monotonic() + BUSY_PATIENCE
    while True:
        busy, hung = [], False
        paths = still_mounted(host, state, known)
        for start in range(0, len(paths), UNMOUNTED_AT_ONCE):
            # Where one hangs, the server is gone and the others would hang as well, each for its own time.
            some, started = paths[start : start + UNMOUNTED_AT_ONCE], host.monotonic()
            if hung or not unmount(host, some, []):
                busy += some
            hung = hung or host.monotonic() - started >= UNMOUNT_TIMEOUT
        # Most of them went, or one went with another of them.
        there = still_mounted(host, state, known) if busy else []
        busy = [path for path in busy if path in there]
        if not busy:
            return
        for path in busy:
            if path not in told:
                told.add(path)
                talk.say("{} is in use by {}.".format(path, holders(host, path) or "the kernel"))
        if hung or host.monotonic() >= patience:
            break
        host.sleep(1)
    detach(host, state, talk, known)


def detach(host, state, talk, known):
    """Takes out of the tree what is still mounted; says so."""
    for path in still_mounted(host, state, known):
        if host.time_is_up():
            return
        unmount(host, [path], ["-l"], DETACH_TIMEOUT)
        talk.say(
            "{} was still in use after {} s and was detached as it is: whoever uses it now gets read errors.".format(
                path, BUSY_PATIENCE
            )
        )


def still_mounted(host, state, known):
    """Our mounts, and those of the known ones that are there, in the order to unmount them."""
    there = {mount.path for mount in mounts(host)}
    found = our_mounts(host, state)
    return found + [path for path in known if path in there and path not in found]


def our_mounts(host, state):
    """What is mounted in our folder or from our disks, in the order to unmount it."""
    paths = mounted_below(host, state["folder"]) if state.get("folder") else []
    paths += mounted_below(host, state["cow_folder"]) if state.get("cow_folder") else []
    devices = our_disks(host, state)
    for name, kernel in our_mapped(host, state.grant).items():
        devices += [name, kernel]
    devices += [name for name in state.get("arrays", []) if array_is_there(host, name)]
    paths += [path for path in mounted_from(host, devices) if path not in paths]
    return paths


def unmount(host, paths, options, timeout=UNMOUNT_TIMEOUT):
    """Whether all of them are unmounted. One that is busy keeps none of the others."""
    return host.run(["umount"] + options + ["--"] + paths, timeout).status == 0


def holders(host, path):
    """Who has files open, a working folder or a program below the path: "bash (812), ..."."""
    found = []
    for pid in host.names("/proc"):
        if pid.isdigit() and holds(host, pid, path):
            found.append("{} ({})".format(host.read("/proc/{}/comm".format(pid)) or "?", pid))
    return ", ".join(found[:HOLDERS_SHOWN]) + (", and others" if len(found) > HOLDERS_SHOWN else "")


def holds(host, pid, path):
    base = "/proc/" + pid
    links = [base + "/cwd", base + "/root", base + "/exe"]
    links += ["{}/fd/{}".format(base, name) for name in host.names(base + "/fd")]
    for link in links:
        try:
            target = os.readlink(host.at(link))
        except OSError:
            continue
        if target == path or target.startswith(path + "/"):
            return True
    return False


def find_left(host, state, emptied=()):
    """What a run should not leave and has left, as sentences; `emptied` are devices that go by themselves."""
    left = ["mounted: " + path for path in our_mounts(host, state)]
    left += ["mapped device: " + name for name in our_mapped(host, state.grant) if name not in emptied]
    left += ["array: " + name for name in state.get("arrays", []) if array_is_there(host, name)]
    left += ["iSCSI session: " + name for name in sessions_of(host, state["iqn"])]
    if record_path(host, state["iqn"]) is not None:
        left.append("node record: " + record_path(host, state["iqn"]))
    left += ["udev rule: " + path for path in state.get("rules", []) if host.exists(path)]
    left += ["folder with something in it: " + path for path in state.get("folders", []) if host.exists(path)]
    pid, started = state.get("tunnel", (None, None))
    if started is not None and process_start(host, pid) == started:
        left.append("process: {}".format(pid))
    return left


def process_start(host, pid):
    """When a process was started, in the kernel's ticks, or None: tells it from a later one of the same number."""
    text = host.read("/proc/{}/stat".format(pid))
    fields = re.sub(r"^.*\)", "", text, flags=re.DOTALL).split() if text else []
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else None
