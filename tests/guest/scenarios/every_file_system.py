"""A GPT disk with every common file system: every volume mounted, every file as it was."""

from bed.script import ends_with
from bed.timing import Accounting, timing_lines


def run(case):
    script = case.script([("gpt", "raw")])
    accounting = Accounting(case.shell)
    report = script.attach()
    shares = accounting.shares(script.grant)
    case.timing += timing_lines("one disk, seven partitions", report.marks, shares)
    report.holds(case.manifests("gpt"))
    tells_of_what_holds_no_files(report)
    script.close()
    ends_with(script.run("--unmount"), 0)


def tells_of_what_holds_no_files(report):
    (swap,) = [volume for volume in report.volumes if volume["fs"] == "swap"]
    assert not swap["mounted"], swap
    assert "swap" in swap["reason"].lower(), swap
