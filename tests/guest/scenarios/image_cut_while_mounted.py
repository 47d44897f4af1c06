"""The image is cut short while mounted: read errors, never wrong data, and a clean end."""

import shutil

CUT_TO_BYTES = 36 << 20


def run(case):
    server = case.server()
    image = case.folder / "disk0.raw"
    shutil.copy(case.disks["whole"].form("raw"), image)
    server.add_point("web01", [("disk0.raw", image)])
    server.init()
    server.start()
    script = case.deliver(server.grant("web01"))
    path = script.attach().volume("WHOLE-EXT4")["path"]
    with open(image, "r+b") as file:
        file.truncate(CUT_TO_BYTES)
    case.shell.sh("echo 3 >/proc/sys/vm/drop_caches")
    # What the kernel has kept may still be read; an image that was changed gives no more.
    done = case.shell.run("sh", "-c", "find . -type f -exec sha256sum -z {} +", cwd=path)
    assert "Input/output error" in done.stderr, f"all could be read:\n{done.text}"
    expected = case.manifests("whole")["WHOLE-EXT4"]
    lines = [line for line in done.stdout.split("\0") if line]
    for line in lines:
        digest, _, name = line.partition("  ./")
        if name in expected:  # not the few whose name is no UTF-8
            assert digest == expected[name]["sha256"], f"{name} was read, and is wrong"
    assert server.process.poll() is None, f"the server died:\n{server.log()}"
    script.close()
