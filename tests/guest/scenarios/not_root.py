"""Not root: says so before it asks for anything."""

from bed.script import ends_with


def run(case):
    script = case.script([("whole", "raw")], folder="/tmp/not-root")
    case.shell.sh(f"chmod 755 /tmp/not-root && chmod 644 {script.path}")
    ends_with(script.run("--password-stdin", user="nobody"), 4, "root")
    ends_with(script.run("--check", "--password-stdin", user="nobody"), 4, "root")
