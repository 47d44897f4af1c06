"""No open-iscsi and no lvm2: names them, and installs each by apt after a yes and never without."""

from bed.script import MOUNT_LIMIT_SECONDS, ends_with

LONG = True
OWN_GUEST = True

PACKAGES = ("open-iscsi", "lvm2")
# What installing changes, and stays.
OF_PACKAGES = ("files", "configuration", "processes")


def run(case):
    shell = case.shell
    shell.sh(f"sh /usr/local/lib/guest/repack.sh /srv/repository {' '.join(PACKAGES)}", limit=300)
    shell.sh("kill $(pidof iscsid) || true; while pidof iscsid; do sleep 0.1; done")
    shell.sh(f"dpkg --remove --force-depends {' '.join(PACKAGES)}", limit=300)
    case.open(leave_out=OF_PACKAGES)
    script = case.script([("machine", "raw")])
    ends_with(script.run("--password-stdin", "--check"), 4, "a run offers to install", *PACKAGES)
    ends_with(script.run("--password-stdin", "--detach"), 4, "lacks iscsiadm")
    refused = script.unanswered()
    refused.wait_for("Install open-iscsi with apt-get", limit=MOUNT_LIMIT_SECONDS)
    refused.type("n\n")
    ends_with(refused.end(MOUNT_LIMIT_SECONDS), 4, "lacks iscsiadm")
    assert not installed(shell), f"{installed(shell)} was installed without a yes"

    running = script.unanswered()
    running.wait_for("Install open-iscsi with apt-get", limit=MOUNT_LIMIT_SECONDS)
    running.type("y\n")
    running.wait_for("assword", limit=MOUNT_LIMIT_SECONDS)
    assert installed(shell) == ["open-iscsi"], installed(shell)
    running.type(script.grant.password + "\n")
    running.wait_for("Install lvm2 with apt-get", limit=MOUNT_LIMIT_SECONDS)
    running.type("y\n")
    running.wait_for("To close", limit=MOUNT_LIMIT_SECONDS)
    assert installed(shell) == ["lvm2", "open-iscsi"], installed(shell)
    root = script.status().volume("ROOT")
    assert shell.read(f"{root['path']}/where") == b".\n", root
    running.type("q")
    ends_with(running.end(MOUNT_LIMIT_SECONDS), 0, "Nothing is left behind")


def installed(shell):
    found = shell.run("dpkg-query", "-W", "-f", "${Package} ${Status}\n", *PACKAGES).stdout
    return sorted(line.split()[0] for line in found.splitlines() if line.endswith(" installed"))
