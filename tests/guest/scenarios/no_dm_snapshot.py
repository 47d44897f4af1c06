"""A kernel without dm-snapshot: volumes come without replay, and say what that means."""

LONG = True


def run(case):
    shell = case.shell
    module = shell.must("modinfo", "-n", "dm-snapshot").strip()
    shell.sh(f"modprobe -rq dm_snapshot || true; mv {module} /root/dm-snapshot.away; depmod")
    case.afterwards(lambda: shell.sh(f"mv /root/dm-snapshot.away {module}; depmod"))
    script = case.script([("odd", "raw")])
    report = script.attach(expected=5)
    for label in ("ODD-EXT4-DIRTY", "ODD-XFSDIRT"):
        volume = report.volume(label)
        assert volume["mounted"], volume
        assert "not replayed" in volume["reason"], volume
        assert "no dm-snapshot" in volume["reason"], volume
    # What has no journal to replay is as it always is.
    manifests = case.manifests("odd")
    report.holds({label: manifests[label] for label in ("ODD-NTFS", "ODD-EXFAT", "ODD-FAT12")})
    script.close()
