"""A working folder with spaces, quotes and letters of other languages."""

FOLDER = "/root/Wiederherstellung für “日本”; $HOME & 'x'  (1)\\40"


def run(case):
    script = case.script([("whole", "raw")], folder=FOLDER)
    report = script.attach()
    assert report.volume("WHOLE-EXT4")["path"].startswith(FOLDER + "/"), report.volumes
    report.holds(case.manifests("whole"))
    assert script.status().volumes == report.volumes
    script.close()
    left = case.shell.run("ls", "-A", FOLDER).stdout.split("\n")
    assert left == [script.grant.file.name, ""], f"left in the working folder: {left}"
