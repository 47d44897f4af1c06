"""A volume group over three disks, linear, striped, mirrored, thin: every file as it was."""

LONG = True


def run(case):
    script = case.script([("lvm", "raw")])
    report = script.attach()
    report.holds(case.manifests("lvm"))
    sources = {volume["label"]: volume["source"] for volume in report.volumes}
    assert sources["LV-XFS"] == "LV vg0/root", sources
    assert sources["LV-RAID1"] == "LV vg0/raid-1", sources
    (disk,) = {volume["disk"] for volume in report.volumes}
    assert disk == "disk0.raw + disk1.raw + disk2.raw", disk
    assert all(volume["mounted"] and volume["reason"] is None for volume in report.volumes)
    script.close()
