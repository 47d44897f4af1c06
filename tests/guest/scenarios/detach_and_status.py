"""--detach goes on in the background, --status shows it, --unmount ends it; all repeatable."""

from bed.script import ends_with


def run(case):
    script = case.script([("whole", "qcow2")])
    idle = script.status().json
    assert (idle["state"], idle["volumes"]) == ("none", []), idle
    report = script.attach()
    status = script.status()
    assert status.json["state"] == report.json["state"], status.json
    assert status.json["grant"] == script.grant.id, status.json
    assert status.volumes == report.volumes, status.json
    text = script.run("--status")
    ends_with(text, 0, "WHOLE-EXT4", report.volume("WHOLE-EXT4")["path"])
    script.close()
    ends_with(script.run("--unmount"), 0, "nothing", "mounted")
    assert script.status().json["state"] == "none"
