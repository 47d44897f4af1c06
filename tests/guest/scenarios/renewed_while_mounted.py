"""A renewed grant goes on beyond its first end, under the same script."""

import signal
import time

from bed.script import CLOSE_LIMIT_SECONDS, ends_with

LONG = True

LIFETIME_SECONDS = 30


def run(case):
    script = case.script([("whole", "raw")], lifetime=f"{LIFETIME_SECONDS}s")
    created = time.monotonic()
    running, report = script.stay()
    case.servers[0].itemlift("grant", "renew", script.grant.id)
    time.sleep(max(0, created + LIFETIME_SECONDS + 3 - time.monotonic()))
    assert running.running(), f"it ended in spite of the renewal:\n{running.text()}"
    assert script.status().json["expires_at"] > report.json["expires_at"]
    report.holds(case.manifests("whole"))
    running.signal(signal.SIGTERM)
    ends_with(running.end(CLOSE_LIMIT_SECONDS), 0, "renewed")
