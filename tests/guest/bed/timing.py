"""Where the time goes from starting the script to mounted volumes: what it says, what it runs."""

import json

PROGRAM = "/usr/local/lib/guest/accounting.py"


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
    before = 0.0
    for at, text in marks:
        words = " ".join(text.split())
        lines.append(f"  at {at:6.2f} s, after {at - before:6.2f} s: {words[:76]}")
        before = at
    by_tools = 0.0
    for command, (count, seconds) in sorted(shares.items(), key=lambda item: -item[1][1]):
        by_tools += seconds
        lines.append(f"  {seconds:6.2f} s in {count} × {command}")
    lines.append(
        f"  {total - by_tools:6.2f} s ({100 * (total - by_tools) / total:.0f} %) in the script itself: "
        "Python's start, checking, unsealing, TLS, and the server's share of these"
    )
    return lines
