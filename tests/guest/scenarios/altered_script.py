"""One byte changed, anywhere: the script does nothing and says why; so does `script verify`."""

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
        done = script.run("--password-stdin", "--detach")
        assert done.status != 0, f"a changed {name} was run:\n{done.text}"
        if name not in SYNTAX:
            ends_with(done, 2, "changed or damaged")


# A change here may leave a file that is no Python any more, which ends it as well.
SYNTAX = {"first line"}


def places(original):
    """Where to change it: the last bit of a letter or digit, so that the text stays text."""
    lines = original.splitlines(keepends=True)
    comment = next(
        i for i, line in enumerate(lines) if i > 0 and line.startswith(b"# ") and len(line) > 12
    )
    signature = max(i for i, line in enumerate(lines) if line.startswith(b"# CMS "))
    found = {
        "first line": 3,
        "comment": offset(lines, comment) + 6,
        "signature": offset(lines, signature - 3) + 20,
    }
    for name, word in (("port", b'"port"'), ("ciphertext", b'"ciphertext"'), ("grant", b'"grant"')):
        at = original.find(word)
        if at > 0:
            found[name] = at + len(word) + 4
    return found


def offset(lines, number):
    return sum(len(line) for line in lines[:number])


def verifies(file, ca):
    command = [str(binary()), "script", "verify", str(file), "--ca", str(ca)]
    return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
