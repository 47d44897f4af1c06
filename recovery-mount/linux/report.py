"""The report for programs: one JSON object, the last line on standard output (SPEC 6)."""

import datetime
import json
import os
import sys


def print_report(state, plan, expires_at, volumes, more=None):
    """Prints the line; paths are given as UTF-8 whatever this process's locale is. `more`: what --check has found.

    Disks of the recovery point that are damaged and not served are named where there are any.
    """
    report = {
        "state": state,
        "grant": plan["grant"],
        "vm": plan["vm"],
        "point": plan["point"],
        "expires_at": rfc3339(expires_at),
        "volumes": [dict(volume, path=as_text(volume["path"])) for volume in volumes],
    }
    if plan["not_served"]:
        report["not_served"] = plan["not_served"]
    report.update(more or {})
    try:
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
    except OSError:
        pass  # nobody reads it any more


def rfc3339(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def as_text(path):
    return None if path is None else os.fsencode(path).decode("utf-8", "replace")
