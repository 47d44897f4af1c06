"""Disks in an LV and in LUKS, BitLocker, dirty NTFS, an ISO image, half a volume group."""

LONG = True

# Of the LUKS container and of BitLocker.
KEYS = ["open sesame", "open sesame"]


def run(case):
    server = case.server()
    rare, group = case.disks["rare"], case.disks["lvm"]
    # The group's third disk is not in the recovery point.
    images = [("rare.raw", rare.form("raw"))]
    images += [(f"lvm{number}.raw", group.form("raw", number)) for number in range(2)]
    server.add_point("web01", images)
    server.init()
    server.start()
    script = case.deliver(server.grant("web01"))
    report = script.attach(keys=KEYS, expected=5)
    manifests = case.manifests("rare")
    iso = manifests.pop("iso9660")
    report.holds(manifests)
    sources = {volume["label"]: volume["source"] for volume in report.volumes}
    assert sources["RARE-LOGICAL"] == "LV nest/machine, partition 5", sources
    assert sources["RARE-IN-LUKS"] == "partition 2, decrypted, partition 1", sources
    (image,) = [volume for volume in report.volumes if volume["fs"] == "iso9660"]
    assert image["mounted"], image
    found = case.shell.must("sha256sum", f"{image['path']}/random 3 MiB.bin").split()[0]
    assert found == iso["random 3 MiB.bin"]["sha256"], image
    half_a_group(case, report)
    script.close()


def half_a_group(case, report):
    """Each logical volume is there with its files, or named with the reason."""
    volumes = {volume["source"]: volume for volume in report.volumes if "vg0/" in volume["source"]}
    striped = volumes["LV vg0/striped"]
    assert not striped["mounted"] and "not in this recovery point" in striped["reason"], striped
    mounted = [volume["label"] for volume in volumes.values() if volume["mounted"]]
    assert mounted, f"nothing of the group is mounted: {volumes}"
    expected = case.manifests("lvm")
    report.holds({label: expected[label] for label in mounted})
    case.say(f"of a group without its third disk: {', '.join(sorted(mounted))}")
