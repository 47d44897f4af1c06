"""A disk of 5 TiB: a file system over nearly all of it, and one beyond what 32 bits can count."""

LONG = True


def run(case):
    script = case.script([("huge", "qcow2")])
    report = script.attach()
    report.holds(case.manifests("huge"))
    assert report.volume("HUGE-XFS")["size"] > 4 << 40, report.volumes
    case.say(f"mounted after {report.marks[-1][0]:.1f} s")
    script.close()
