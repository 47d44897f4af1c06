"""The end of the grant ends it, by the server's clock; the script is refused from then on."""

from bed.script import CLOSE_LIMIT_SECONDS, ends_with

LONG = True

LIFETIME_SECONDS = 30


def run(case):
    script = case.script([("whole", "raw")], lifetime=f"{LIFETIME_SECONDS}s")
    running, report = script.stay()
    assert report.volume("WHOLE-EXT4")["mounted"]
    done = running.end(LIFETIME_SECONDS + CLOSE_LIMIT_SECONDS)
    ends_with(done, 2, "expired")
    ends_with(script.run("--password-stdin", "--detach"), 2, "expired")
