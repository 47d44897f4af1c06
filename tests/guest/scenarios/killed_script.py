"""SIGKILL of the script: the next run finds the leftovers and, with --yes, cleans them up."""

import signal


def run(case):
    script = case.script([("whole", "raw")])
    running, report = script.stay()
    assert report.volume("WHOLE-EXT4")["mounted"]
    running.signal(signal.SIGKILL)
    running.end()
    again = script.attach("--yes")
    again.holds(case.manifests("whole"))
    script.close()
