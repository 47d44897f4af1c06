"""q on the terminal closes everything and says that nothing is left."""

from bed.script import ends_with


def run(case):
    script = case.script([("whole", "raw")])
    running = script.on_terminal()
    text = running.wait_for("WHOLE-EXT4", limit=120)
    assert "Volume1" in text, text
    running.wait_for("q", limit=5)
    running.type("q")
    ends_with(running.end(), 0, "nothing", "left")
