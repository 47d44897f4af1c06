"""Where the time goes from starting the script to mounted volumes, by what it says meanwhile."""


def timing_lines(name, marks):
    """Marks: (seconds since the start, text printed then). A step ends with the text it prints."""
    lines = [f"{name}: from starting the script to mounted {marks[-1][0]:.1f} s"]
    before = 0.0
    for at, text in marks:
        words = " ".join(text.split())
        lines.append(f"  at {at:6.2f} s, after {at - before:6.2f} s: {words[:76]}")
        before = at
    return lines
