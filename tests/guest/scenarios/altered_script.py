"""One byte changed, anywhere: the script does nothing and says why; so does `script verify`."""

import re
import subprocess

from bed.script import ends_with
from bed.server import binary


def run(case):
    script = case.script([("whole", "raw")])
    ca = case.servers[0].state / "ca.pem"
    original = script.grant.file.read_bytes()
    assert verifies(script.grant.file, ca), "`script verify` refuses an unaltered script"
    for name, place in places(original).items():
        altered = bytearray(original)
        altered[place] ^= 1
        local = case.folder / "altered.py"
        local.write_bytes(altered)
        assert not verifies(local, ca), f"`script verify` accepts a changed {name}"
        case.shell.write(script.path, bytes(altered))
        try:
            ends_with(script.run("--password-stdin", "--detach"), 2, "changed or damaged")
        except AssertionError as error:
            raise AssertionError(f"with a changed {name}: {error}") from error


# Values of the tables at the end of the script, to be changed at their last byte.
VALUES = {
    "grant": rb'^    "grant": "\w+',
    "port": rb'^    "port": \d+',
    "ciphertext": rb'^    "ciphertext": \(\s+"\w+',
}


def places(original):
    """Where to change it: the last bit of a letter or digit, so that it is still Python."""
    lines = original.splitlines(keepends=True)
    comment = next(
        i for i, line in enumerate(lines) if i > 0 and line.startswith(b"# ") and len(line) > 12
    )
    end_of_signature = max(i for i, line in enumerate(lines) if line.startswith(b"# CMS "))
    found = {
        "first line": 3,
        "comment": offset(lines, comment) + 6,
        "signature": offset(lines, end_of_signature - 3) + 20,
    }
    for name, pattern in VALUES.items():
        found[name] = re.search(pattern, original, re.MULTILINE).end() - 1
    return found


def offset(lines, number):
    return sum(len(line) for line in lines[:number])


def verifies(file, ca):
    command = [str(binary()), "script", "verify", str(file), "--ca", str(ca)]
    return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
