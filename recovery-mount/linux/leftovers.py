"""What runs that died have left on this machine: found, and with consent cleaned up."""

import re

from closing import close_run
from iscsi import TARGET_PREFIX, recorded_targets
from layout import NAME_TRIES, base_name
from outcome import HOST_LACKS, Stop
from state import load_state, recorded_grants


def clean_leftovers(host, talk, plan, folder):
    """Offers to clean up after runs that died; raises Stop if what this grant left, which is in the way, stays."""
    for state in dead_runs(host):
        own = state.grant == plan["grant"]
        question = "An earlier run of grant {} died and left things behind. Clean up?".format(state.grant)
        if talk.agrees(question):
            clean(host, talk, state)
        elif own:
            raise Stop(HOST_LACKS, "What the earlier run left is in the way. Run the script with --unmount first.")
    for path in empty_layouts(host, plan, folder):
        if talk.agrees("The folder {} is left over from an earlier run, empty. Remove it?".format(path)):
            for name in host.names(path):
                host.remove_folder("{}/{}".format(path, name))
            host.remove_folder(path)


def clean(host, talk, state):
    """Closes for a run that died; tells whether nothing is left."""
    if not state.take_lock():
        talk.say("Grant {} is in use now; it was left alone.".format(state.grant))
        return False
    try:
        left = close_run(host, state, talk)
    finally:
        state.release_lock()
    for sentence in left:
        talk.say("Still there: " + sentence)
    if not left:
        talk.say("Cleaned up after grant {}.".format(state.grant))
    return not left


def dead_runs(host):
    """The grants of which this machine has a record or a node record of a script, but no run."""
    by_target = {target[len(TARGET_PREFIX) :]: target for target in recorded_targets(host)}
    dead = []
    for grant in sorted(set(recorded_grants(host)) | set(by_target)):
        state = load_state(host, grant)
        if state.is_running():
            continue
        # After a reboot the record is gone and the node record is not.
        state.facts.setdefault("iqn", by_target.get(grant, TARGET_PREFIX + grant))
        dead.append(state)
    return dead


def empty_layouts(host, plan, folder):
    """Folders of this recovery point that hold nothing but empty mount points, after a reboot for instance."""
    used = {load_state(host, grant).get("folder") for grant in recorded_grants(host)}
    name = base_name(plan)
    found = []
    for number in range(1, NAME_TRIES):
        path = "{}/{}".format(folder, name if number == 1 else "{}-{}".format(name, number))
        if not host.exists(path):
            return found
        inside = host.names(path)
        volumes = inside and all(re.match(r"^(Volume|root)\d*$", entry) for entry in inside)
        if volumes and path not in used and not any(host.names("{}/{}".format(path, entry)) for entry in inside):
            found.append(path)
    return found
