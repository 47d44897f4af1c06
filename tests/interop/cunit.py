"""Reads what iscsi-test-cu prints: one outcome for each test."""

import re

# "Suite: Read10", then "  Test: Simple ...", then messages, then "passed" or "FAILED".
SUITE = re.compile(r"^Suite: (.+)$")
TEST = re.compile(r"^\s*Test: (\S+) \.\.\.(.*)$")
# A message of the test's own clean-up may follow the verdict on its line.
END = re.compile(r"(?:^|\.\.\.|\s)(passed|FAILED)(?:$|\s+\[)")


def outcomes(text):
    """Maps "Suite.Test" to "passed", "failed" or "skipped", in the order they ran.

    The suite counts a test that its target does not support as passed and prints
    [SKIPPED]; here it is skipped, since it showed nothing. A test without an end
    (the program died in it) is failed.
    """
    found = {}
    suite, name, body = None, None, []

    def finish():
        if name is not None:
            found[f"{suite}.{name}"] = outcome(body)

    for line in text.splitlines():
        at_suite, at_test = SUITE.match(line), TEST.match(line)
        if at_suite or at_test or line.startswith("Run Summary"):
            finish()
            name, body = None, []
        if at_suite:
            suite = at_suite[1]
        elif at_test:
            name, body = at_test[1], [at_test[2].strip()]
        elif name is not None:
            body.append(line.strip())
    finish()
    return found


def outcome(body):
    ends = [END.search(line)[1] for line in body if END.search(line)]
    if "FAILED" in ends or not ends:
        return "failed"
    if any("[SKIPPED]" in line for line in body):
        return "skipped"
    return "passed"
