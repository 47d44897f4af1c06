"""--detach goes on in the background, --status shows it, --unmount ends it; all repeatable."""

import json

from bed.script import ends_with

# Script and tunnel together, at rest: Python, its ssl and OpenSSL are most of it.
MEMORY_KIB = 20 << 10


def run(case):
    script = case.script([("whole", "qcow2")])
    idle = script.status().json
    assert (idle["state"], idle["volumes"]) == ("none", []), idle
    report = script.attach()
    status = script.status()
    assert status.json["state"] == report.json["state"], status.json
    assert status.json["grant"] == script.grant.id, status.json
    assert status.volumes == report.volumes, status.json
    text = script.run("--status")
    ends_with(text, 0, "WHOLE-EXT4", report.volume("WHOLE-EXT4")["path"])
    at_rest = memory(case.shell, script.grant)
    case.say(f"script and tunnel at rest take {at_rest / 1024:.1f} MiB of memory")
    assert at_rest < MEMORY_KIB, f"{at_rest} KiB"
    script.close()
    ends_with(script.run("--unmount"), 0, "nothing", "mounted")
    assert script.status().json["state"] == "none"


def memory(shell, grant):
    """KiB that the processes of a run take, what they share counted once."""
    state = json.loads(shell.read(f"/run/itemlift/{grant.id}.json"))
    files = " ".join(f"/proc/{pid}/smaps_rollup" for pid in (state["pid"], state["tunnel"][0]))
    return sum(int(kib) for kib in shell.sh(f"awk '/^Pss:/ {{print $2}}' {files}").split())
