"""Two disks, GPT and MBR, raw and compressed qcow2: every volume mounted, every file as it was."""

from bed.script import ends_with
from bed.timing import Accounting, timing_lines


def run(case):
    script = case.script([("gpt", "raw"), ("mbr", "qcow2")])
    accounting = Accounting(case.shell)
    report = script.attach()
    shares = accounting.shares(script.grant)
    case.timing += timing_lines("two disks, eleven partitions", report.marks, shares)
    report.holds(case.manifests("gpt", "mbr"))
    tells_of_what_holds_no_files(report)
    # A disk without a name in point.toml is called as its file is, which no other disk can be.
    names = {volume["disk"] for volume in report.volumes}
    assert names == {"disk0.raw", "disk1.qcow2"}, report.volumes
    script.close()
    ends_with(script.run("--unmount"), 0)


def tells_of_what_holds_no_files(report):
    (swap,) = [volume for volume in report.volumes if volume["fs"] == "swap"]
    assert not swap["mounted"], swap
    assert "swap" in swap["reason"].lower(), swap
