"""Process accounting of the kernel: how long each command ran that one process started.

`accounting.py on` begins it; `accounting.py off PID` ends it and prints, as JSON, for each command
name that PID started: how often, and for how many seconds in all.
"""

import ctypes
import json
import os
import struct
import sys

RECORDS = "/run/accounting"

# struct acct_v3 of linux/acct.h: …, pid, ppid, begin, elapsed ticks (a float), …, command.
ACCT_V3 = struct.Struct("<BBHIIIIIIf8H16s")
TICKS_PER_SECOND = 100


def switch(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.acct(path) != 0:
        raise OSError(ctypes.get_errno(), "acct: " + os.strerror(ctypes.get_errno()))


def totals(parent):
    found = {}
    with open(RECORDS, "rb") as file:
        data = file.read()
    for fields in ACCT_V3.iter_unpack(data[: len(data) // ACCT_V3.size * ACCT_V3.size]):
        ppid, elapsed, command = fields[7], fields[9], fields[18]
        if ppid == parent:
            name = command.split(b"\0")[0].decode("utf-8", "replace")
            count, seconds = found.get(name, (0, 0.0))
            found[name] = (count + 1, seconds + elapsed / TICKS_PER_SECOND)
    return found


def main():
    if sys.argv[1] == "on":
        open(RECORDS, "wb").close()
        switch(RECORDS.encode())
    else:
        switch(None)
        json.dump(totals(int(sys.argv[2])), sys.stdout)
        os.unlink(RECORDS)


if __name__ == "__main__":
    main()
