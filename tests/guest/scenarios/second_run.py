"""A second run on the same machine says that it is attached already, and where."""

from bed.script import ends_with


def run(case):
    script = case.script([("whole", "raw")])
    report = script.attach()
    path = report.volume("WHOLE-EXT4")["path"]
    again = script.run("--password-stdin", "--detach", "--into", "/tmp")
    assert again.status != 0, f"it attached twice:\n{again.text}"
    ends_with(again, again.status, "already", path.rsplit("/", 1)[0])
    report.holds(case.manifests("whole"))
    script.close()
