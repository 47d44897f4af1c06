"""A working folder with spaces, quotes and letters of other languages, in each locale."""

LONG = True

FOLDER = "/root/Wiederherstellung für “日本”; $HOME & 'x'  (1)\\40"


def run(case):
    script = case.script([("whole", "raw")], folder=FOLDER)
    report = script.attach(env={"LANG": "C"})
    path = report.volume("WHOLE-EXT4")["path"]
    assert path.startswith(FOLDER + "/"), report.volumes
    report.holds(case.manifests("whole"))
    assert script.status().volumes == report.volumes
    # What a terminal cannot show is escaped, and no reason to fail.
    escaped = path.encode("ascii", "backslashreplace").decode()
    for locale in ("C", "ja_JP.UTF-8", "xx_XX.UTF-8"):
        shown = script.run("--status", env={"LANG": locale}).stdout
        assert path in shown or (escaped in shown and "ja" not in locale), f"{locale}: {shown}"
    script.close()
    left = case.shell.run("ls", "-A", FOLDER).stdout.split("\n")
    assert left == [script.grant.file.name, ""], f"left in the working folder: {left}"
