"""What a server process uses: memory, processor time, connections."""

import os
import re
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
LISTENING = "0A"


def cpu_seconds(pids):
    """User and system time of processes so far."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory(pid):
    """Bytes: `rss` resident in all, `anon` and `file` of it, `peak` the most that was resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    names = {"rss": "VmRSS", "anon": "RssAnon", "file": "RssFile", "peak": "VmHWM"}
    return {
        name: int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1]) << 10
        for name, field in names.items()
    }


def reset_peak(pid):
    """From now on, `peak` is the most that was resident after this moment."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def connections(port):
    """Connections that a process holds at this local port, not those that it has closed."""
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, state, inode = fields[1], fields[3], fields[9]
        if int(local.partition(":")[2], 16) == port and state != LISTENING and inode != "0":
            held += 1
    return held
