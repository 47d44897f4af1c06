"""An overlay that fills makes its volume unreadable and says so; all else is unharmed."""

LONG = True

DIRTY, OTHER = "ODD-EXT4-DIRTY", "ODD-XFSDIRT"


def run(case):
    shell = case.shell
    script = case.script([("odd", "raw")])
    running, report = script.stay("--overlay-size", "8M")
    paths = {label: report.volume(label)["path"] for label in (DIRTY, OTHER)}
    device = shell.must("findmnt", "-n", "-o", "SOURCE", "--mountpoint", paths[DIRTY]).strip()
    mapped = shell.sh(f"cat /sys/class/block/$(basename $(realpath {device}))/dm/name")
    assert "-overlay" in mapped, f"{DIRTY} is mounted from {device}, which is no overlay"
    size = shell.must("blockdev", "--getsize64", device).strip()
    # As a journal would that writes more than there is room for.
    full = shell.run("dd", "if=/dev/urandom", f"of={device}", "bs=1M", "oflag=direct", "count=16")
    assert full.status != 0, f"16 MiB went into an overlay of 8 MiB (the device has {size} bytes)"
    running.wait_for("is full", limit=60)
    shell.sh("echo 3 >/proc/sys/vm/drop_caches")
    assert shell.run("cat", f"{paths[DIRTY]}/random 3 MiB.bin").status != 0, "it can still be read"
    assert shell.read(f"{paths[OTHER]}/last-words") == b"only the log has this\n"
    shell.sh("echo x >/root/still-writable && rm /root/still-writable")
    status = script.run("--status")
    assert "is full" in status.text, status.text
    script.close()
    running.end()
