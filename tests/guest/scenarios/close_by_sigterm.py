"""SIGTERM closes everything, and so does SIGHUP, when the terminal is gone."""

import signal

from bed.script import CLOSE_LIMIT_SECONDS, Report, ends_with


def run(case):
    script = case.script([("whole", "raw")])
    for number in (signal.SIGTERM, signal.SIGHUP):
        running, report = script.stay()
        assert report.volume("WHOLE-EXT4")["mounted"]
        running.signal(number)
        done = running.end(CLOSE_LIMIT_SECONDS)
        ends_with(done, 0)
        closed = Report(case.shell, done.stdout, done.marks)
        assert closed.json["state"] == "closed", closed.json
        assert not any(volume["mounted"] for volume in closed.volumes), closed.json
        left = case.shell.run("findmnt", "-n", report.volume("WHOLE-EXT4")["path"])
        assert left.status != 0, f"still mounted after signal {number}"
