"""btrfs over two disks, with subvolumes, and with an fsync that only its log has."""

LONG = True


def run(case):
    script = case.script([("btrfs", "raw")])
    report = script.attach()
    report.holds(case.manifests("btrfs"))
    sub = report.volume("BTRFS-SUB")
    assert case.shell.must("ls", sub["path"]).split() == ["@", "@home"]
    script.close()
