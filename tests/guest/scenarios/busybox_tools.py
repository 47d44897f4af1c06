"""BusyBox stands in for a tool, as on small machines: the script says that this does not do."""

from bed.script import ends_with


def run(case):
    shell = case.shell
    script = case.script([("whole", "raw")])
    blkid = shell.sh("realpath $(command -v blkid)").strip()
    shell.sh(f"mv {blkid} {blkid}.away; ln -s /bin/busybox {blkid}")
    case.afterwards(lambda: shell.sh(f"mv {blkid}.away {blkid}"))
    words = "blkid (BusyBox's own does not do)"
    ends_with(script.run("--check"), 4, words, "util-linux")
    ends_with(script.run("--password-stdin", "--detach"), 4, words)
