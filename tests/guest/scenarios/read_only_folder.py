"""A working folder that cannot be written to: says so, and what to do."""

from bed.script import ends_with

FOLDER = "/mnt/read-only"


def run(case):
    script = case.script([("whole", "raw")], folder=FOLDER)
    # Bound onto itself, so that it can be made read-only apart from the file system around it.
    case.shell.sh(f"mount --bind {FOLDER} {FOLDER} && mount -o remount,bind,ro {FOLDER}")
    case.afterwards(lambda: case.shell.must("umount", FOLDER))
    ends_with(script.run("--password-stdin", "--detach"), 4, FOLDER, "--into")
