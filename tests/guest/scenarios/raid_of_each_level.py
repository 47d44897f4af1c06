"""md RAID 0, 1 and 5 with a member missing, 6, 10, old metadata, LVM on RAID 1; and a lost one."""

LONG = True


def run(case):
    script = case.script([("md", "raw")])
    report = script.attach(expected=5)
    report.holds(case.manifests("md"))
    sources = {volume["label"]: volume["source"] for volume in report.volumes if volume["mounted"]}
    assert sources["MD-RAID5"] == "raid5 web01:md5", sources
    assert sources["LV-ON-MD"] == "LV vg0/on-md", sources
    (lost,) = [volume for volume in report.volumes if volume["fs"] == "linux_raid_member"]
    assert "web01:lost" in lost["reason"] and "1" in lost["reason"], lost
    # Nothing is synchronised, missing members are not rebuilt.
    state = case.shell.sh("cat /proc/mdstat")
    assert "resync" not in state and "recovery" not in state, state
    script.close()
