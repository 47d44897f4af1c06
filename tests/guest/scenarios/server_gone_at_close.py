"""The server is gone for good: closing still works, in bounded time, and leaves nothing."""


def run(case):
    script = case.script([("whole", "raw")])
    report = script.attach()
    assert report.volume("WHOLE-EXT4")["mounted"]
    case.servers[0].kill()
    # Something waits for data that will never come.
    path = report.volume("WHOLE-EXT4")["path"]
    case.shell.sh("echo 3 >/proc/sys/vm/drop_caches")
    reader = case.shell.spawn("sha256sum", f"{path}/random 3 MiB.bin")
    script.close()
    reader.end()
