"""Compares the recovery machine before and after: what a scenario leaves behind is a failure."""

import json
import time

# A process on its way out or a device being removed may outlive the script by a moment.
SETTLE_SECONDS = 10


class HostState:
    """`leave_out` names sections, for a comparison across a restart of the machine."""

    def __init__(self, shell, folders=(), leave_out=()):
        self.shell = shell
        self.folders = list(folders)
        self.before = self._now()
        for section in leave_out:
            del self.before[section]

    def _now(self):
        return json.loads(
            self.shell.must("python3", "/usr/local/lib/guest/host_state.py", *self.folders)
        )

    def changes(self, settle=SETTLE_SECONDS):
        """Lines such as `+ mounts: …`; empty when the host is as it was."""
        deadline = time.monotonic() + settle
        while True:
            found = _difference(self.before, self._now())
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.3)


def _difference(before, after):
    lines = []
    for section in before:
        old, new = set(before[section]), set(after[section])
        lines += [f"+ {section}: {line}" for line in sorted(new - old)]
        lines += [f"- {section}: {line}" for line in sorted(old - new)]
    return lines
