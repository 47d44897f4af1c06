"""Where the time goes from starting the script to mounted volumes: what it says, what it runs."""

import json

PROGRAM = "/usr/local/lib/guest/accounting.py"

ONE_GO_SECONDS = 0.1

ITSELF = "Python's start, self-check, unsealing, TLS, the server's answers, waiting for disks"


class Accounting:
    """Between `start` and `shares` the kernel notes every command that ends."""

    def __init__(self, shell):
        self.shell = shell
        shell.must("python3", PROGRAM, "on")

    def shares(self, grant):
        """The commands that the run of this grant has started: name -> (how often, seconds)."""
        state = json.loads(self.shell.read(f"/run/itemlift/{grant.id}.json"))
        return json.loads(self.shell.must("python3", PROGRAM, "off", str(state["pid"])))


def timing_lines(name, marks, shares):
    """Marks: (seconds since the start, text printed then). A step ends with the text it prints."""
    total = marks[-1][0]
    lines = [f"{name}: from starting the script to mounted {total:.1f} s"]
    for at, seconds, words in steps(marks):
        lines.append(f"  at {at:6.2f} s, after {seconds:6.2f} s: {words[:76]}")
    by_tools = 0.0
    for command, (count, seconds) in sorted(shares.items(), key=lambda item: -item[1][1]):
        by_tools += seconds
        lines.append(f"  {seconds:6.2f} s in {count} × {command}")
    rest = total - by_tools
    lines.append(f"  {rest:6.2f} s ({100 * rest / total:.0f} %) in the script itself: {ITSELF}")
    return lines


def steps(marks):
    """(end, seconds it took, first words then printed); what comes in one go is one step."""
    found = []
    before = 0.0
    for at, text in marks:
        words = " ".join(text.split())
        if words and (not found or at - before > ONE_GO_SECONDS):
            found.append((at, at - before, words))
            before = at
    return found
