"""Dirty logs are replayed; external journal, hibernated NTFS, images, ZFS: mounted or explained."""

LONG = True

LAST_WORDS = "only the log has this\n"


def run(case):
    script = case.script([("odd", "raw")])
    report = script.attach(expected=5)
    for label in ("ODD-EXT4-DIRTY", "ODD-XFSDIRT"):
        volume = report.volume(label)
        assert volume["mounted"] and volume["reason"] is None, volume
        found = case.shell.read(f"{volume['path']}/last-words").decode()
        assert found == LAST_WORDS, f"{label} was not replayed: {found!r}"
    manifests = case.manifests("odd")
    squash = manifests.pop("squashfs")
    report.holds(manifests)
    (image,) = [volume for volume in report.volumes if volume["fs"] == "squashfs"]
    found = case.shell.must("sha256sum", f"{image['path']}/random 3 MiB.bin").split()[0]
    assert found == squash["random 3 MiB.bin"]["sha256"], image
    reasons = {volume["fs"]: volume["reason"] for volume in report.volumes if not volume["mounted"]}
    assert "ZFS" in reasons["zfs_member"], reasons
    assert "journal on another device" in report.volume("ODD-EXT-EXTERNAL")["reason"]
    assert "journal on another device" in report.volume("ODD-XFSEXT")["reason"]
    script.close()
