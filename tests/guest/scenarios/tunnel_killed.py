"""The tunnel's process dies under a mounted volume: another takes over, and reading goes on."""

import json


def run(case):
    script = case.script([("whole", "raw")])
    report = script.attach()
    state = json.loads(case.shell.read(f"/run/itemlift/{script.grant.id}.json"))
    case.shell.sh(f"echo 3 >/proc/sys/vm/drop_caches; kill -9 {state['tunnel'][0]}")
    report.holds(case.manifests("whole"))
    script.close()
