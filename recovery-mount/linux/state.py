"""What a run has done to this machine, written down before it is done: /run/itemlift/GRANT.json, for root alone.

Closing works from this record and nothing else, so that a later run can close for one that died.
"""

import contextlib
import fcntl
import json
import os

FOLDER = "/run/itemlift"
# Each time the lock's file went between opening and locking it.
LOCK_TRIES = 10


class State:
    """The record of one grant's run; attributes of a run are the keys of `facts`."""

    def __init__(self, host, grant, facts=None):
        self.host = host
        self.grant = grant
        self.facts = facts or {}
        self.lock = None

    @property
    def path(self):
        return "{}/{}.json".format(FOLDER, self.grant)

    @property
    def lock_path(self):
        return "{}/{}.lock".format(FOLDER, self.grant)

    def __getitem__(self, key):
        return self.facts[key]

    def get(self, key, default=None):
        return self.facts.get(key, default)

    def note(self, **facts):
        """Adds facts and writes them down, so that they are on record before the deed."""
        self.facts.update(facts)
        self.host.write(self.path, json.dumps(self.facts, sort_keys=True), 0o600)

    def try_note(self, **facts):
        """As `note`, for closing: a record that cannot be written (a full /run) is no reason to leave things behind."""
        with contextlib.suppress(OSError):
            self.note(**facts)

    def add(self, key, item):
        """Adds an item to one of the lists."""
        self.note(**{key: self.facts.get(key, []) + [item]})

    def drop(self, key, item):
        self.note(**{key: [other for other in self.facts.get(key, []) if other != item]})

    def take_lock(self):
        """Whether this process is now the one run of the grant on this machine; held until it ends."""
        for _ in range(LOCK_TRIES):
            self.host.make_folder(FOLDER, 0o700)
            try:
                self.lock = self.locked(os.O_CREAT)
            except FileNotFoundError:
                continue  # a run that ended has just removed the folder
            return self.lock is not None
        return False

    def locked(self, flags=0):
        """Descriptor of the lock's file, held by it; None if another process holds it. Raises FileNotFoundError."""
        path = self.host.at(self.lock_path)
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A run that ended has removed the file that was opened here: another one is the lock now, or none.
            if not os.path.samestat(os.fstat(handle), os.stat(path)):
                raise FileNotFoundError(path)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:
            os.close(handle)
            raise
        return handle

    def release_lock(self):
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def is_running(self):
        """Whether a process holds the lock; asking leaves nothing behind, also while that process ends."""
        if self.lock is not None:
            return True
        try:
            handle = self.locked()
        except FileNotFoundError:
            return False
        if handle is not None:
            os.close(handle)
        return handle is None

    def forget(self):
        """Removes the record and the lock's file, and the folder if it was the last."""
        self.facts = {}
        gone = [self.host.remove(self.path), self.host.remove(self.lock_path)]
        self.host.remove_folder(FOLDER)
        return all(gone)


def load_state(host, grant):
    """The record of a grant's run; empty facts if there is none or it cannot be read."""
    text = host.read("{}/{}.json".format(FOLDER, grant))
    try:
        facts = json.loads(text) if text else {}
    except ValueError:
        facts = {}
    return State(host, grant, facts if isinstance(facts, dict) else {})


def recorded_grants(host):
    """The grants that have a record on this machine."""
    return [name[: -len(".json")] for name in host.names(FOLDER) if name.endswith(".json")]
