"""LUKS bare, with LVM inside, inside an LV; an array of two LVs; wrong keys and none."""

LONG = True

KEY = "open sesame"
VAULTS = ("LUKS1", "LV-IN-LUKS2", "LUKS2-ON-LV")


def run(case):
    script = case.script([("nested", "raw")])
    password = script.grant.password
    manifests = case.manifests("nested")
    report = script.attach(password="\n".join([password] + [KEY] * len(VAULTS)))
    report.holds(manifests)
    assert report.volume("LUKS1")["source"] == "partition 1, decrypted", report.volumes
    script.close()

    # A wrong key and none at all cost their volumes and no other.
    report = script.attach(password="\n".join([password, "wrong", ""]), expected=5)
    closed = [volume for volume in report.volumes if not volume["mounted"]]
    assert sorted(volume["reason"] for volume in closed) == [
        "is encrypted: no key was given",
        "is encrypted: no key was given",
        "is encrypted: the key is wrong",
    ], closed
    report.holds({label: files for label, files in manifests.items() if label not in VAULTS})
    script.close()
    found = case.shell.run("grep", "-rlF", KEY, "/run", "/tmp", "/root", "/dev/shm", "/etc").stdout
    assert not found, f"the key was kept in {found}"
