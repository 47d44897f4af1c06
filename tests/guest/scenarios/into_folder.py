"""--into mounts below another folder, and the working folder stays as it is."""


def run(case):
    script = case.script([("whole", "raw")])
    case.shell.must("mkdir", "/mnt/there")
    case.afterwards(lambda: case.shell.must("rmdir", "/mnt/there"))
    report = script.attach("--into", "/mnt/there")
    assert report.volume("WHOLE-EXT4")["path"].startswith("/mnt/there/"), report.volumes
    report.holds(case.manifests("whole"))
    script.close()
