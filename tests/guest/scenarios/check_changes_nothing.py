"""--check looks at the machine and the server, says what it found, and leaves all as it is."""

import json

from bed.script import ends_with


def run(case):
    script = case.script([("whole", "raw")])
    before = case.shell.sh("sha256sum /etc/iscsi/iscsid.conf; ls -R /run/itemlift 2>&1 || true")
    ends_with(
        script.run("--check", "--password-stdin"), 0, "MiB each", "mdadm", "the password is right"
    )
    report = json.loads(script.run("--check", "--format", "json").stdout.splitlines()[-1])
    assert report["state"] == "checked" and all(each["ok"] for each in report["checks"]), report
    after = case.shell.sh("sha256sum /etc/iscsi/iscsid.conf; ls -R /run/itemlift 2>&1 || true")
    assert before == after, f"{before}\n{after}"
    case.servers[0].kill()
    ends_with(script.run("--check", "--password-stdin"), 3, "10.0.2.2")
