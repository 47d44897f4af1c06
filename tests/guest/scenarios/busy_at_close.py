"""A shell stands in the mount and a file is open: closing is bounded and leaves nothing."""


def run(case):
    script = case.script([("whole", "raw")])
    path = script.attach().volume("WHOLE-EXT4")["path"]
    inside = case.shell.spawn("sh", "-c", "exec 9<readme.txt; echo ready; read line", cwd=path)
    inside.wait_for("ready")
    script.close()
    inside.type("\n")
    inside.end()
