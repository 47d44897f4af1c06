"""GPT and MBR with logical partitions, raw and compressed qcow2, side by side."""

LONG = True


def run(case):
    script = case.script([("gpt", "raw"), ("mbr", "qcow2")])
    report = script.attach()
    report.holds(case.manifests("gpt", "mbr"))
    # A disk without a name in point.toml is called as its file is, which no other disk can be.
    names = {volume["disk"] for volume in report.volumes}
    assert names == {"disk0.raw", "disk1.qcow2"}, report.volumes
    script.close()
