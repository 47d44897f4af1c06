"""Where the time goes between starting the script and mounted volumes."""


class Timing:
    """Steps of one mount: (name, seconds)."""

    def __init__(self):
        self.mounts = []

    def add(self, scenario, steps):
        self.mounts.append((scenario, steps))


def timing_table(timing):
    lines = []
    for scenario, steps in timing.mounts:
        lines.append(
            f"{scenario}: from start to mounted {sum(seconds for _, seconds in steps):.1f} s"
        )
        lines += [f"  {seconds:6.2f} s  {name}" for name, seconds in steps]
    return "\n".join(lines) or "no scenario measured its steps"
