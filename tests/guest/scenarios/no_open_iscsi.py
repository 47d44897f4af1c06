"""No open-iscsi: names it, and installs nothing without a yes."""

from bed.script import ends_with


def run(case):
    script = case.script([("whole", "raw")])
    case.shell.sh("mv /usr/sbin/iscsiadm /usr/sbin/iscsiadm.away; rm -f /sbin/iscsiadm")
    case.afterwards(lambda: case.shell.sh("mv /usr/sbin/iscsiadm.away /usr/sbin/iscsiadm"))
    ends_with(script.run("--password-stdin", "--detach"), 4, "open-iscsi")
    ends_with(script.run("--password-stdin", "--check"), 4, "open-iscsi")
